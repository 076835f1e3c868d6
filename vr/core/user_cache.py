"""Small things that were worked out before, in the user's cache: gone or damaged, they are worked out again.

Whoever can write there can have code run, as with bytecode.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["recall", "remember"]

_MOST_FILES = 64  # of a kind: beyond them the oldest go
_DIGEST_BYTES = 32


def recall(kind: str, key: str) -> bytes | None:
    """Returns what was remembered; None where nothing was, or not all of it is there as it was written.

    Args:
      kind: Of what it is: the name of a folder.
      key: What it is known by, any text.
    """
    try:
        kept = _file(kind, key).read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: nobody has a home
        return None
    content = kept[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == kept[:_DIGEST_BYTES] else None


def remember(kind: str, key: str, content: bytes) -> None:
    """Keeps `content` for later processes, whole or not at all; where nothing can be written it is not missed."""
    with suppress(OSError, RuntimeError):
        file = _file(kind, key)
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(hashlib.sha256(content).digest() + content)
            os.replace(draft, file)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        for _, old in sorted(((each.stat().st_mtime_ns, each) for each in file.parent.iterdir()), reverse=True)[
            _MOST_FILES:
        ]:
            old.unlink(missing_ok=True)


def _file(kind: str, key: str) -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("vr")) / kind / hashlib.sha256(key.encode()).hexdigest()
