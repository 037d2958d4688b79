"""How failures of storage are told: reasons, wording, and what an ``OSError`` means.

The S3 side is in ``s3_faults.py``. Messages name the object's URI, never its content.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from distillery.errors import DistilleryError, ExternalError, ResourceError, word


class Reason(StrEnum):
    """Why storage failed, as the error's ``reason``."""

    ACCESS_DENIED = "AccessDenied"
    BUCKET_MISSING = "BucketMissing"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    DISK_FULL = "DiskFull"
    ENDPOINT_UNREACHABLE = "EndpointUnreachable"
    OBJECT_MISSING = "ObjectMissing"
    STORAGE_FAILED = "StorageFailed"
    STORAGE_UNFIT = "StorageUnfit"


_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}


def object_missing(place: str) -> ExternalError:
    """The error for an object that isn't there."""
    return ExternalError(
        word(place, "no such object; check the name, or run the step that writes it"),
        reason=Reason.OBJECT_MISSING,
    )


def checksum_mismatch(place: str, *, want: str, got: str) -> ExternalError:
    """The error for bytes that aren't those which were stored. Digests are hex."""
    return ExternalError(
        word(
            place,
            f"content must have sha256 {want[:12]}, got {got[:12]}; "
            "write the object again, it was damaged or replaced",
        ),
        reason=Reason.CHECKSUM_MISMATCH,
    )


def os_fault(error: OSError, *, place: str) -> DistilleryError:
    """What an ``OSError`` at ``place`` means for the run."""
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    if error.errno in _FULL:
        return ResourceError(
            word(place, f"disk or quota is full, got {name}; free space or use another place"),
            reason=Reason.DISK_FULL,
        )
    if error.errno in _DENIED:
        return ExternalError(
            word(place, f"access denied, got {name}; give this user write and read rights there"),
            reason=Reason.ACCESS_DENIED,
        )
    if error.errno in _NO_FOLDER:
        return ExternalError(
            word(
                place,
                f"a file stands where a folder is needed or the reverse, got {name}; "
                "move it or use another place",
            ),
            reason=Reason.STORAGE_FAILED,
        )
    return ExternalError(
        word(place, f"file system failed, got {name}; check the place and its disk"),
        reason=Reason.STORAGE_FAILED,
    )


@contextmanager
def os_faults(place: str) -> Iterator[None]:
    """Turns any ``OSError`` inside into its error of the tree."""
    try:
        yield
    except OSError as error:
        raise os_fault(error, place=place) from error


@contextmanager
def read_faults(place: str) -> Iterator[None]:
    """As ``os_faults``, but what isn't there as a file is ``ObjectMissing``."""
    try:
        yield
    except OSError as error:
        if error.errno in _MISSING:
            raise object_missing(place) from error
        raise os_fault(error, place=place) from error
