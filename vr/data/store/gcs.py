"""Publishing to Google Cloud Storage, through its own client: pyarrow has no write under a precondition."""

import logging
import mimetypes
import os
from pathlib import Path
from typing import Any

from vr.core.errors import ConfigError
from vr.data.store.address import Address
from vr.data.store.retries import Absent, Precondition, with_retries

__all__ = ["GcsStore"]

_TIMEOUT_S = (10, 60)  # to connect, and between two packets


class GcsStore:
    """A prefix in a bucket of Google Cloud Storage."""

    def __init__(self, address: Address):
        self._address = address
        self.place = str(address)
        self._bucket: Any = _bucket(address)

    def create(self, name: str, path: Path, digest: str, *, replace: bool = False) -> bool:
        """Writes an object, only where there is no generation of it yet; the server checks its CRC-32C."""

        def upload() -> None:
            blob = self._blob(name)
            blob.metadata = {"vr-sha256": digest}
            blob.upload_from_filename(
                str(path),
                content_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
                if_generation_match=None if replace else 0,
                checksum="crc32c",
                timeout=_TIMEOUT_S,
                retry=None,
            )

        try:
            self._tried(name, upload)
        except Precondition:
            return False
        return True

    def digest(self, name: str) -> str | None:
        """Returns the SHA-256 that an object was written with."""

        def ask() -> str:
            blob = self._blob(name)
            blob.reload(timeout=_TIMEOUT_S, retry=None)
            return (blob.metadata or {}).get("vr-sha256", "")

        try:
            return self._tried(name, ask)
        except Absent:
            return None

    def read(self, name: str) -> bytes:
        """Returns an object's content."""
        return self._tried(name, lambda: self._blob(name).download_as_bytes(timeout=_TIMEOUT_S, retry=None))

    def remove(self, name: str) -> None:
        """Removes an object."""
        try:
            self._tried(name, lambda: self._blob(name).delete(timeout=_TIMEOUT_S, retry=None))
        except Absent:
            return

    def _blob(self, name: str) -> Any:
        return self._bucket.blob(self._address.child(name).key)

    def _tried(self, name: str, call):
        return with_retries(call, str(self._address.child(name)))


def _bucket(address: Address) -> Any:
    try:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage
    except ImportError as err:
        raise ConfigError(
            "writing to Google Cloud Storage needs its client", where=str(address), hint="pip install 'vr[cloud]'"
        ) from err
    # Their debug logs print requests with their headers.
    for name in ("google.auth", "google.cloud.storage", "google.resumable_media"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger(name).level))
    if address.anonymous or os.environ.get("STORAGE_EMULATOR_HOST"):
        client = storage.Client(project="none", credentials=AnonymousCredentials())
    else:
        # Looking for credentials may ask the machine's metadata server.
        client = with_retries(storage.Client, str(address))
    return client.bucket(address.bucket)
