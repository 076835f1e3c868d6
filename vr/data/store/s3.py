"""Publishing to S3, through botocore: pyarrow has no conditional write, and credentials are found as the AWS tools do.

botocore is what those tools are made of; signing requests and finding credentials by ourselves would be more code, and
worse.
"""

import contextlib
import functools
import logging
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vr.core.errors import ConfigError
from vr.data.store.address import Address
from vr.data.store.filesystem import region_of, s3_endpoint
from vr.data.store.retries import Absent, Precondition, with_retries

__all__ = ["S3Store"]

_PART_BYTES = 64 << 20  # larger files go up in parts, each tried again by itself; S3 takes 10,000 of them


class S3Store:
    """A prefix in a bucket of S3 or of a server that speaks its language and honours `If-None-Match`."""

    def __init__(self, address: Address, *, part_bytes: int = _PART_BYTES):
        self._address = address
        self._part_bytes = part_bytes
        self.place = str(address)
        self._client: Any = _client(address)

    def create(self, name: str, path: Path, digest: str, *, replace: bool = False) -> bool:
        """Writes an object in one request, or in parts that become one object in the last request."""
        about = {"Metadata": {"vr-sha256": digest}, "ContentType": _type_of(name)}
        condition = {} if replace else {"IfNoneMatch": "*"}
        try:
            if path.stat().st_size <= self._part_bytes:
                with path.open("rb") as body:

                    def put() -> None:
                        body.seek(0)
                        self._client.put_object(**self._at(name), Body=body, **condition, **about)

                    self._tried(name, put)
            else:
                self._create_in_parts(name, path, about, condition)
        except Precondition:
            return False
        return True

    def digest(self, name: str) -> str | None:
        """Returns the SHA-256 that an object was written with."""
        try:
            head = self._tried(name, lambda: self._client.head_object(**self._at(name)))
        except Absent:
            return None
        return head["Metadata"].get("vr-sha256", "")

    def read(self, name: str) -> bytes:
        """Returns an object's content."""
        return self._tried(name, lambda: self._client.get_object(**self._at(name))["Body"].read())

    def remove(self, name: str) -> None:
        """Removes an object."""
        self._tried(name, lambda: self._client.delete_object(**self._at(name)))

    def _create_in_parts(self, name: str, path: Path, about: dict[str, Any], condition: dict[str, Any]) -> None:
        at = self._at(name)
        upload = self._tried(name, lambda: self._client.create_multipart_upload(**at, **about))["UploadId"]
        try:
            parts = []
            for number, part in enumerate(_parts(path, self._part_bytes), 1):
                done = self._tried(
                    name,
                    lambda number=number, part=part: self._client.upload_part(
                        **at, UploadId=upload, PartNumber=number, Body=part
                    ),
                )
                parts.append({"PartNumber": number, "ETag": done["ETag"]})
            self._tried(
                name,
                lambda: self._client.complete_multipart_upload(
                    **at, UploadId=upload, MultipartUpload={"Parts": parts}, **condition
                ),
            )
        except Absent as err:
            # The upload is gone: an attempt whose answer was lost has completed it. The caller compares digests.
            raise Precondition(err.message, where=err.where) from err
        except BaseException:
            # Parts of an upload that is never completed are never seen, but are paid for.
            with contextlib.suppress(Exception):
                self._client.abort_multipart_upload(**at, UploadId=upload)
            raise

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._address.bucket, "Key": self._address.child(name).key}

    def _tried(self, name: str, call):
        return with_retries(call, str(self._address.child(name)))


def _client(address: Address) -> Any:
    try:
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError as err:
        raise ConfigError("writing to S3 needs botocore", where=str(address), hint="pip install 'vr[cloud]'") from err
    # Its debug log prints signed headers, session tokens among them.
    logging.getLogger("botocore").setLevel(max(logging.INFO, logging.getLogger("botocore").level))
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"total_max_attempts": 1, "mode": "standard"},
        s3={"addressing_style": "path"} if s3_endpoint() else {},
        signature_version=UNSIGNED if address.anonymous else None,
    )
    region = region_of(address)
    # Looking for credentials may ask the machine's metadata server.
    return with_retries(
        lambda: _session().create_client("s3", region_name=region, endpoint_url=s3_endpoint(), config=config),
        str(address),
    )


@functools.cache
def _session() -> Any:
    """Returns the one session, which keeps the credentials that it found, and S3's description, for all stores."""
    import botocore.session

    return botocore.session.get_session()


def _parts(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(size):
            yield part


def _type_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
