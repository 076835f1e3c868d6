"""`python -m vr`, the same as `vr`."""

import sys

from vr.cli import main

sys.exit(main())
