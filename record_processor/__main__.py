"""`python -m record_processor` is the command `record-processor`."""

from __future__ import annotations

from record_processor.cli import main

if __name__ == "__main__":
    main()
