"""`python -m record_processor.worker.check FILE`: is there what workers write to? Run before Java starts.

That is `onFailureDestination` and the store of `idempotency`. Exit status as the command's: 0 they are there,
or none is named; 2 and 3, and one line on standard error.
"""

from __future__ import annotations

import sys

from record_processor import settings as properties
from record_processor.errors import ConfigurationError, ExitCode, StartError
from record_processor.parking import open_destination
from record_processor.settings import Settings
from record_processor.stores import open_store


def check(settings: Settings) -> None:
    """Find out whether they are there. Raises ConfigurationError and StartError, in one line."""
    name = "onFailureDestination"
    try:
        if destination := open_destination(settings):
            destination.check()
        name = "idempotency"
        if settings[name]:
            open_store(settings).check()
    except (ConfigurationError, StartError) as error:
        raise type(error)(f"{name}: {' '.join(str(error).split())}") from None


def main(file: str) -> int:
    """Check what a properties file names; return the exit status."""
    try:
        check(properties.load(file))
    except (ConfigurationError, StartError) as error:
        print(error, file=sys.stderr)
        return ExitCode.USAGE if isinstance(error, ConfigurationError) else ExitCode.COULD_NOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
