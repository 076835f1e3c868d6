"""The `vr` command as a process of its own; `python -m vr` is the same."""

import sys

from vr.cli import main
from vr.core.absent import absent

__all__ = ["command"]


def command() -> int:
    """Runs the command line and returns its exit code."""
    # pyarrow and scikit-learn load pandas, where it is installed, to ask whether an array is a frame. Files hold none,
    # and loading it takes longer than reading them.
    with absent("pandas"):
        return main()


if __name__ == "__main__":
    sys.exit(command())
