"""The errors vr raises on purpose, and the exit code each one ends a command with.

Every error names where it happened (a file, a column, an option) and what to do about it, on one line.
"""

__all__ = [
    "AlreadyPublishedError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergedError",
    "LibraryError",
    "NotCalibratedError",
    "OutOfMemoryError",
    "PeerLostError",
    "PreemptedError",
    "StoreError",
    "VrError",
]


class VrError(Exception):
    """Root of all errors raised on purpose.

    Args:
      message: What is wrong, without a final full stop.
      where: The file, column or option concerned; printed first.
      hint: What the user can do; printed last.
    """

    exit_code = 4

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None):
        self.message = message
        self.where = where
        self.hint = hint
        text = message if where is None else f"{where}: {message}"
        text = text if hint is None else f"{text}; {hint}"
        # One line, whatever a library's own message looked like.
        super().__init__(" ".join(text.split()))


class ConfigError(VrError, ValueError):
    """An option or configuration key is unknown, ill-typed or out of range."""

    exit_code = 2


class DataError(VrError, ValueError):
    """An input dataset cannot be read, or cannot be compared as asked."""

    exit_code = 3


class NotCalibratedError(VrError):
    """A calibrated answer was asked for where no calibration applies."""


class CheckpointError(VrError):
    """Saved state is missing, incomplete or does not match this run."""


class DivergedError(VrError):
    """Too many proxies ended in NaN or infinity to say anything."""


class LibraryError(VrError):
    """A library of signatures cannot be opened, is damaged beyond use, or was busy for longer than it is worth."""


class OutOfMemoryError(VrError):
    """A proxy does not fit into a device's memory, however small the part of a batch that is taken at once."""


class PeerLostError(VrError):
    """One of several processes that train together is gone; started again, they go on from the last checkpoint."""

    exit_code = 75  # EX_TEMPFAIL: the same again may succeed


class PreemptedError(VrError):
    """The run was asked to stop and did, with everything kept: no failure, and the same command resumes."""

    exit_code = 0


class StoreError(VrError):
    """An object store refuses, or failed for longer than it is worth trying again."""


class AlreadyPublishedError(StoreError):
    """Something else is published there already, or being published: nothing of ours is."""
