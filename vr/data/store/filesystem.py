"""pyarrow's filesystem for an address: endpoint, region and credentials from the environment, no retries of its own."""

import functools
import os
from datetime import timedelta

from pyarrow import fs

from vr.data.store.address import Address
from vr.data.store.retries import with_retries

__all__ = ["filesystem_of", "region_of", "s3_endpoint"]

_CONNECT_S, _REQUEST_S = 10.0, 60.0
# Google's library counts time, not attempts, and sleeps before it looks at the clock: this little is one attempt.
_ONE_ATTEMPT = timedelta(milliseconds=1)


def filesystem_of(address: Address) -> fs.FileSystem:
    """Returns a filesystem whose paths begin with the bucket."""
    if address.scheme == "gs":
        return _gcs(address)
    scheme, _, host = (s3_endpoint() or "").rpartition("://")
    options = {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"} if host else {}
    return fs.S3FileSystem(
        anonymous=address.anonymous,
        region=region_of(address),
        connect_timeout=_CONNECT_S,
        request_timeout=_REQUEST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
        **options,
    )


def s3_endpoint() -> str | None:
    """Returns the URL of an S3 that is not Amazon's, as the AWS tools take it from the environment."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def region_of(address: Address) -> str:
    """Returns the region of an S3 bucket: given, set in the environment, or asked of Amazon."""
    given = address.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if given:
        return given
    # Other makers' servers take any region; this one is what their own tools send.
    return "us-east-1" if s3_endpoint() else _asked_region(address.bucket)


@functools.lru_cache(maxsize=64)
def _asked_region(bucket: str) -> str:
    return with_retries(lambda: fs.resolve_s3_region(bucket), f"s3://{bucket}")


def _gcs(address: Address) -> fs.FileSystem:
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if not emulator:
        return fs.GcsFileSystem(anonymous=address.anonymous, retry_time_limit=_ONE_ATTEMPT)
    scheme, _, host = emulator.rpartition("://")
    return fs.GcsFileSystem(
        anonymous=True, scheme=scheme or "http", endpoint_override=host.rstrip("/"), retry_time_limit=_ONE_ATTEMPT
    )
