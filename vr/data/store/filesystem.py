"""pyarrow's filesystem for an address: endpoint, region and credentials from the environment, no retries of its own."""

import functools
import os
from datetime import timedelta

from pyarrow import fs

from vr.core.errors import StoreError, VrError
from vr.data.store.address import Address
from vr.data.store.retries import Absent, Passing, failure

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
    """Returns the region of an S3 bucket: given, asked of Amazon, or, where that fails, set in the environment.

    Raises:
      StoreError: if Amazon does not say, and the environment does not either.
    """
    if address.region:
        return address.region
    set_there = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if s3_endpoint():
        # Other makers' servers take any region; this one is what their own tools send.
        return set_there or "us-east-1"
    # One region of the environment cannot be that of a candidate and a reference in two.
    found = _asked_region(address.bucket)
    if isinstance(found, str):
        return found
    if set_there:
        return set_there
    raise found


@functools.lru_cache(maxsize=64)
def _asked_region(bucket: str) -> str | VrError:
    """Returns the region, or why it is not known; pyarrow tries again by itself, so it is asked once."""
    where = f"s3://{bucket}"
    try:
        return fs.resolve_s3_region(bucket)
    except (OSError, ValueError) as err:
        if "not found" in str(err):
            return Absent("does not exist", where=where, hint="check the bucket and the name")
        why = failure(err, where)
        if isinstance(why, Passing):
            return StoreError(why.message, where=where, hint="check the network, or set AWS_REGION and run it again")
        return why


def _gcs(address: Address) -> fs.FileSystem:
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if not emulator:
        return fs.GcsFileSystem(anonymous=address.anonymous, retry_time_limit=_ONE_ATTEMPT)
    scheme, _, host = emulator.rpartition("://")
    return fs.GcsFileSystem(
        anonymous=True, scheme=scheme or "http", endpoint_override=host.rstrip("/"), retry_time_limit=_ONE_ATTEMPT
    )
