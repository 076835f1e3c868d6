"""Publishing a folder so that it is seen whole or not at all, and so that of two publishers one wins.

    publish(open_store("s3://bucket/run"), {"report.html": page}, ("report.json", report))

Objects are written in a fixed order, the manifest last, each only where none of its name exists yet; what is there with
the same content passes as written. So a second publisher of other content stops at the first object that differs, the
first goes on, and the manifest, without which nothing counts as published, is written once and lies beside the objects
of the publisher who wrote it. One who was killed goes on by publishing the same files again.

Every store writes an object whole or not at all: S3 and GCS make an object visible when its upload ends, and a local
file grows under another name until it is linked to its own.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from vr.core.errors import AlreadyPublishedError, StoreError
from vr.core.files import sync_folder
from vr.data.store.address import Address, is_remote, local_path

__all__ = ["LocalStore", "Store", "digest_of", "open_store", "publish"]


class Store(Protocol):
    """A folder, or a prefix in a bucket, that takes whole objects."""

    @property
    def place(self) -> str:
        """What to call it in messages."""
        ...

    def create(self, name: str, path: Path, digest: str, *, replace: bool = False) -> bool:
        """Writes an object from a file; returns False, and writes nothing, where one of that name exists.

        With `replace` that one is there until the new one is.
        """
        ...

    def digest(self, name: str) -> str | None:
        """Returns the SHA-256 of an object, an empty string where the store was not told it, None without an object."""
        ...

    def read(self, name: str) -> bytes:
        """Returns an object's content.

        Raises:
          StoreError: if it does not exist.
        """
        ...

    def remove(self, name: str) -> None:
        """Removes an object; that there is none is no error."""
        ...


def open_store(place: str) -> Store:
    """Returns the store for a folder's path, or for an `s3://` or `gs://` URI.

    Raises:
      ConfigError: if the URI cannot be used, or the libraries for it are not installed.
    """
    if not is_remote(place):
        return LocalStore(Path(local_path(place)))
    address = Address.parse(place)
    if address.scheme == "s3":
        from vr.data.store.s3 import S3Store

        return S3Store(address)
    from vr.data.store.gcs import GcsStore

    return GcsStore(address)


def publish(
    store: Store,
    files: Mapping[str, Path],
    manifest: tuple[str, Path],
    *,
    without: Iterable[str] = (),
    replace: bool = False,
) -> None:
    """Publishes files under their names, and last the manifest; publishing the same again changes nothing.

    Args:
      store: Where to.
      files: By name, what the manifest speaks of.
      manifest: Name and file of the object whose presence means that all are there.
      without: Names that a publication may have and this one has not: of another run if they are there.
      replace: First remove what is published there, manifest first. Nobody else may be publishing there meanwhile.
        A manifest alone is not removed first: the old one is there until the new one is.

    Raises:
      AlreadyPublishedError: if something else is published or being published there.
      StoreError: if the store refuses or fails for too long; nothing is published then.
    """
    parts = [*files.items(), manifest]
    digests = {name: digest_of(path) for name, path in parts}
    last, strange = manifest[0], tuple(without)
    alone = replace and not files and not strange
    if replace and not alone:
        for name in (last, *files, *strange):
            store.remove(name)
    elif not replace and store.digest(last) not in (None, digests[last]):
        raise _taken(store, last, "holds something else already")
    _refuse(store, strange)
    for name, path in parts:
        if name == last:
            _refuse(store, strange)
        if store.create(name, path, digests[name], replace=alone):
            continue
        there = store.digest(name)
        if there is None:
            raise StoreError("was removed while it was written", where=f"{store.place}/{name}", hint="publish it again")
        if there != digests[name]:
            finished = name == last or store.digest(last) is not None
            raise _taken(
                store,
                name,
                "was published by another first"
                if finished
                else "is being published, or was left unfinished, by another",
            )


def _refuse(store: Store, names: Iterable[str]) -> None:
    for name in names:
        if store.digest(name) is not None:
            raise _taken(store, name, "is there already and belongs to another run")


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalStore:
    """A folder on this machine."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.place = str(folder)

    def create(self, name: str, path: Path, digest: str, *, replace: bool = False) -> bool:
        """Writes a file whole: a name of its own while it grows, then a link that only one publisher can make."""
        del digest  # read from the file when it is asked for
        target = self._folder / name
        growing = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, growing.open("xb") as sink:
                while block := source.read(1 << 20):
                    sink.write(block)
                sink.flush()
                os.fsync(sink.fileno())
            (os.replace if replace else os.link)(growing, target)
            sync_folder(target.parent)
        except FileExistsError:
            return False
        except OSError as err:
            raise self._failed(name, err) from err
        finally:
            growing.unlink(missing_ok=True)
        return True

    def digest(self, name: str) -> str | None:
        """Returns the SHA-256 of a file, None without one."""
        try:
            return digest_of(self._folder / name)
        except FileNotFoundError:
            return None
        except OSError as err:
            raise self._failed(name, err) from err

    def read(self, name: str) -> bytes:
        """Returns a file's content."""
        try:
            return (self._folder / name).read_bytes()
        except OSError as err:
            raise self._failed(name, err) from err

    def remove(self, name: str) -> None:
        """Removes a file."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as err:
            raise self._failed(name, err) from err

    def _failed(self, name: str, err: OSError) -> StoreError:
        where = str(self._folder / name)
        return StoreError(f"failed ({err.strerror or err})", where=where, hint="check the folder and its permissions")


def _taken(store: Store, name: str, what: str) -> AlreadyPublishedError:
    return AlreadyPublishedError(
        what, where=f"{store.place}/{name}", hint="give another --output, or --force to replace what is there"
    )
