"""What holds for all tests: none sees this host's AWS settings, none is late because the host is busy."""

from __future__ import annotations

import os

from hypothesis import settings

# No test reaches an account, whatever the developer is logged in to, or waits for an instance's metadata.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

settings.register_profile("shared machine", deadline=None, print_blob=True)
settings.load_profile("shared machine")
