"""Which data a tenant may name: folders and bucket prefixes, and nothing outside of them.

What is not there and what is forbidden are told by the same words, so that nobody learns what a server's disk holds.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

__all__ = ["ANYWHERE", "Grant"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_WILD = re.compile(r"[*?\[]")
# A bucket's name that a library might take for a host: addresses in any notation, and names of metadata services.
_HOSTLIKE = re.compile(
    r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}|metadata(\..*)?|localhost(\..*)?|.*\.internal"
)


@dataclass(frozen=True)
class Grant:
    """What one tenant may read.

    Attributes:
      roots: Folders, absolute.
      buckets: `s3://` and `gs://` prefixes; `s3://` alone stands for every bucket.
    """

    roots: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()

    @classmethod
    def of(cls, roots: Sequence[str], buckets: Sequence[str]) -> "Grant":
        """Returns a grant, its folders resolved once."""
        return cls(tuple(os.path.realpath(root) for root in roots), tuple(buckets))

    def admits(self, uri: str) -> bool:
        """Returns whether `uri` is there, as far as a local disk can tell, and within the grant.

        It touches no network. Files below a folder, or behind a glob, are held against `holds` one by one, when they
        are known.
        """
        if not _is_plain(uri):
            return False
        scheme = _SCHEME.match(uri)
        if scheme is not None and scheme[1].lower() in ("s3", "gs") and scheme[2]:
            return self._admits_object(uri, scheme[1].lower())
        if scheme is not None and not uri.startswith("file:///"):
            return False
        path = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
        # What was hidden behind escapes is looked at once more; twice is nobody's spelling of a file.
        if not path.startswith("/") or not _is_plain(path):
            return False
        wild = _WILD.search(path)
        if wild is not None and not os.path.exists(path):
            path = path[: wild.start()].rpartition("/")[0] or "/"
        return self.holds(path) and os.path.exists(path)

    def holds(self, path: str) -> bool:
        """Returns whether a file or folder lies, all links followed, below one of the folders."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(root) for root in self.roots)

    def _admits_object(self, uri: str, scheme: str) -> bool:
        bucket, _, key = uri.partition("://")[2].partition("/")
        # No options, no credentials: neither endpoint nor region comes from a request.
        if "?" in key or "@" in bucket or not _BUCKET.fullmatch(bucket) or _HOSTLIKE.fullmatch(bucket):
            return False
        place = f"{scheme}://{bucket}/{key}"
        return any(_lies_below(place, prefix) for prefix in self.buckets)


# The grant of a server that only its own machine can reach.
ANYWHERE = Grant(("/",), ("s3://", "gs://"))


def _is_plain(uri: str) -> bool:
    """Returns whether an address is free of everything that has two readings."""
    if not 0 < len(uri) <= 1024 or uri.startswith("~"):
        return False
    if any(ord(char) < 32 or ord(char) == 127 or char == "\\" for char in uri):
        return False
    lowered = uri.lower()
    return "%2e" not in lowered and "%2f" not in lowered and "%00" not in lowered and ".." not in re.split("/+", uri)


def _lies_below(place: str, prefix: str) -> bool:
    if prefix.endswith("://"):
        return place.startswith(prefix)
    prefix = prefix.rstrip("/") + "/"
    return place.startswith(prefix) or place.rstrip("/") + "/" == prefix
