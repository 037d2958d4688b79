"""What boto3's errors mean for the run. The file system's are in ``faults.py``."""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    FlexibleChecksumError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from distillery.errors import DistilleryError, ExternalError, word
from ray_jobs.storage.faults import Reason, object_missing

_DENIED_STATUS = (401, 403)
_CHANGED_STATUS = 412
_DENIED_CODES = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_DAMAGED_CODES = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"}
_NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
UNREACHABLE = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError)
"""Nothing at the address spoke S3 with us."""


def status_of(error: ClientError) -> int:
    """The HTTP status of the storage's answer; 0 if it gave none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: ClientError) -> str:
    """The storage's own word for the error (``NoSuchKey``); answers to HEAD have only a number."""
    return str(error.response.get("Error", {}).get("Code", ""))


def client_fault(error: Exception, *, place: str, endpoint: str) -> DistilleryError:
    """The error of the tree for one of boto3's, met at the object or bucket ``place``."""
    if isinstance(error, S3UploadFailedError) and isinstance(error.__context__, ClientError):
        error = error.__context__  # upload_file tells the refusal only as text
    if isinstance(error, ClientError):
        return _refusal(error, place=place)
    name = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        problem = (
            f"access denied, got no usable credentials ({name}); set storage.credentialsRef, "
            "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
        return ExternalError(word(place, problem), reason=Reason.ACCESS_DENIED)
    if isinstance(error, UNREACHABLE):
        problem = (
            f"can't reach the storage at {endpoint}, got {name}; "
            "check storage.endpointUrl and the network"
        )
        return ExternalError(word(place, problem), reason=Reason.ENDPOINT_UNREACHABLE)
    if isinstance(error, FlexibleChecksumError):
        problem = "content must match the checksum stored with it, got other bytes; read it again"
        return ExternalError(word(place, problem), reason=Reason.CHECKSUM_MISMATCH)
    problem = f"storage at {endpoint} failed, got {name}; see its log, then try again"
    return ExternalError(word(place, problem), reason=Reason.STORAGE_FAILED)


def bucket_missing(place: str) -> ExternalError:
    """The error for a bucket that isn't there."""
    problem = "bucket does not exist, got NoSuchBucket; create it or correct storage.uri"
    return ExternalError(word(place, problem), reason=Reason.BUCKET_MISSING, status_code=404)


def _refusal(error: ClientError, *, place: str) -> DistilleryError:
    code, status = code_of(error), status_of(error)
    if code == "NoSuchBucket":
        return bucket_missing(place)
    if code in ("NoSuchKey", "404"):
        return object_missing(place)
    if code in _DENIED_CODES or status in _DENIED_STATUS:
        problem = (
            f"access denied, got {code} ({status}); check the credentials and that they may "
            "get, put, list and delete there"
        )
        return ExternalError(word(place, problem), reason=Reason.ACCESS_DENIED, status_code=status)
    if code in _DAMAGED_CODES:
        problem = f"bytes must arrive as they were sent, got {code} ({status}); send them again"
        reason = Reason.CHECKSUM_MISMATCH
        return ExternalError(word(place, problem), reason=reason, status_code=status)
    if status == _CHANGED_STATUS:
        problem = f"object must not change while it is read, got {code} ({status}); read it again"
        reason = Reason.STORAGE_FAILED
        return ExternalError(word(place, problem), reason=reason, status_code=status)
    problem = (
        f"storage refused {error.operation_name}, got {code} ({status}); "
        "see the storage's log, then try again"
    )
    return ExternalError(word(place, problem), reason=Reason.STORAGE_FAILED, status_code=status)


@contextmanager
def client_faults(*, place: str, endpoint: str) -> Iterator[None]:
    """Turns any error of boto3 inside into its error of the tree."""
    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError, ResponseParserError) as error:
        raise client_fault(error, place=place, endpoint=endpoint) from error
