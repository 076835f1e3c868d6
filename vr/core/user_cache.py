"""Small things that were worked out before, in the user's cache: gone or damaged, they are worked out again.

Among them is compiled code, so nothing is read that another user could have written.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["recall", "remember"]

_MOST_FILES = 64  # of a kind: beyond them go those that were written longest ago
_DIGEST_BYTES = 32


def recall(kind: str, key: str) -> bytes | None:
    """Returns what was remembered; None where nothing was, or not all of it is there as it was written.

    Args:
      kind: Of what it is: the name of a folder.
      key: What it is known by, any text.
    """
    try:
        path = _file(kind, key)
        with path.open("rb") as file:
            if not (_is_ours(os.stat(path.parent)) and _is_ours(os.fstat(file.fileno()))):
                return None
            kept = file.read()
    except (OSError, RuntimeError):  # RuntimeError: nobody has a home
        return None
    content = kept[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == kept[:_DIGEST_BYTES] else None


def remember(kind: str, key: str, content: bytes) -> None:
    """Keeps `content` for later processes, whole or not at all; where nothing can be written it is not missed."""
    with suppress(OSError, RuntimeError):
        file = _file(kind, key)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(hashlib.sha256(content).digest() + content)
            os.replace(draft, file)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        by_age = sorted(file.parent.iterdir(), key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for old in by_age[_MOST_FILES:]:
            old.unlink(missing_ok=True)


def _file(kind: str, key: str) -> Path:
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("vr"))
    # Where nobody has a home it may be told relative to one.
    if not folder.is_absolute():
        raise RuntimeError("no home")
    return folder / kind / hashlib.sha256(key.encode()).hexdigest()


def _is_ours(found: os.stat_result) -> bool:
    """Whether this user alone can have written it; where there are no such users, as on Windows, it is taken so."""
    return not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
