"""Which versions of packages are installed, as the report and the digests of kept work tell."""

import importlib.metadata
from functools import cache

__all__ = ["version_of"]


@cache
def version_of(package: str) -> str | None:
    """Returns the version of a package, None where there is none; looked up once, as it lies in a file of headers."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
