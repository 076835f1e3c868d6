"""Where an object lives, `s3://bucket/key` or `gs://bucket/key`, and how such an address may be shown.

Credentials are no part of an address: they come from each platform's usual chain. One that carries any is refused, and
no message, report or note repeats what stands before an `@` or behind a `?`.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

from vr.core.errors import ConfigError

__all__ = ["Address", "is_remote", "knows", "local_path", "shown"]

_SCHEMES = {"s3": "s3", "gs": "gs", "gcs": "gs"}
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A question mark is also a sign of globs: what follows is options where it begins like one.
_OPTIONS = re.compile(r"\?(?=[A-Za-z][\w.-]*=)")
_WILD = re.compile(r"[*?\[]")
_CHAIN = "leave keys out of it: they come from the environment, ~/.aws, gcloud or the machine's own role"


def is_remote(uri: str) -> bool:
    """Returns whether `uri` names something in a store rather than a file's path."""
    return _REMOTE.match(uri) is not None and not uri.startswith("file://")


def local_path(uri: str) -> str:
    """Returns a file's path from itself or from its `file://` URI, where a space is written %20."""
    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri


def knows(uri: str) -> bool:
    """Returns whether the scheme of `uri` is one of a store that vr reads and writes."""
    return uri.partition("://")[0].lower() in _SCHEMES


def shown(uri: str) -> str:
    """Returns `uri` as messages and reports may have it: without user, password and options."""
    if not _REMOTE.match(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    host, slash, path = _OPTIONS.split(rest, maxsplit=1)[0].partition("/")
    bare = host.rpartition("@")[2]
    # A secret may hold a slash or a question mark itself: where it ends cannot be told then.
    if ":" in bare or (":" in host and "@" in rest[len(host) :]):
        return f"{scheme}://..."
    return f"{scheme}://{bare}{slash}{path}"


@dataclass(frozen=True)
class Address:
    """A place in an object store.

    Attributes:
      scheme: `s3` or `gs`.
      bucket: The bucket's name.
      key: What follows the bucket, without a slash at its beginning or end.
      anonymous: Whether requests go unsigned, as public buckets want it; `?anonymous=true` in a URI.
      region: Of an S3 bucket; `?region=` in a URI. None: from the environment, or asked of S3.
    """

    scheme: str
    bucket: str
    key: str = ""
    anonymous: bool = False
    region: str | None = None

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """Returns the place that a URI names.

        Raises:
          ConfigError: for another scheme, credentials in the URI, or an unknown option.
        """
        where = shown(uri)
        scheme, _, rest = uri.partition("://")
        if not knows(uri):
            raise ConfigError("is at no place that vr knows", where=where, hint="give a path, s3:// or gs://")
        place, query = [*_OPTIONS.split(rest, maxsplit=1), ""][:2]
        host, _, key = place.partition("/")
        user, at, bucket = host.rpartition("@")
        if (at and user != "anonymous") or ":" in bucket:
            raise ConfigError("holds credentials", where=where, hint=_CHAIN)
        if not bucket:
            raise ConfigError("names no bucket", where=where, hint=f"as in {scheme}://bucket/folder")
        if _WILD.search(bucket):
            raise ConfigError("has a wildcard in its bucket", where=where, hint="name one bucket, and globs below it")
        options = dict(item.partition("=")[::2] for item in query.split("&") if item)
        if options.keys() - {"anonymous", "region"}:
            raise ConfigError(
                "has options other than region and anonymous",
                where=where,
                hint="the endpoint comes from AWS_ENDPOINT_URL or STORAGE_EMULATOR_HOST; " + _CHAIN,
            )
        return cls(
            scheme=_SCHEMES[scheme.lower()],
            bucket=bucket,
            key=key.strip("/"),
            anonymous=bool(at) or options.get("anonymous", "").lower() in ("true", "1"),
            region=options.get("region") or None,
        )

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.key}" if self.key else "")

    def child(self, name: str) -> "Address":
        """Returns the place of `name` below this one."""
        return replace(self, key=f"{self.key}/{name}" if self.key else name)
