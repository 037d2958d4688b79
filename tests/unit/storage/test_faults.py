"""Which error of the tree an ``OSError`` becomes, and the length of messages."""

import errno
import re

import pytest

from distillery.errors import DistilleryError, ExternalError, ResourceError, word
from ray_jobs.storage.faults import Reason, os_faults, read_faults


@pytest.mark.parametrize(
    ("number", "want_type", "want_reason", "want_message"),
    [
        (errno.ENOSPC, ResourceError, "DiskFull", "disk or quota is full, got ENOSPC; free space"),
        (errno.EDQUOT, ResourceError, "DiskFull", "disk or quota is full, got EDQUOT; free space"),
        (errno.EACCES, ExternalError, "AccessDenied", "access denied, got EACCES; give this user"),
        (errno.EPERM, ExternalError, "AccessDenied", "access denied, got EPERM; give this user"),
        (errno.EROFS, ExternalError, "AccessDenied", "access denied, got EROFS; give this user"),
        (errno.ENOTDIR, ExternalError, "StorageFailed", "a file stands where a folder is needed"),
        (errno.EIO, ExternalError, "StorageFailed", "file system failed, got EIO; check the place"),
    ],
)
def test_an_os_error_becomes_an_error_of_the_tree(
    number: int, want_type: type[DistilleryError], want_reason: str, want_message: str
) -> None:
    want = re.escape(f"file:///a: {want_message}")
    with (
        pytest.raises(want_type, match=want) as caught,
        os_faults("file:///a"),
    ):
        raise OSError(number, "from the kernel")
    assert caught.value.reason == want_reason


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR])
def test_what_cannot_be_read_as_a_file_is_missing(number: int) -> None:
    with pytest.raises(ExternalError, match=r"^a: no such object") as caught, read_faults("a"):
        raise OSError(number, "from the kernel")
    assert caught.value.reason == Reason.OBJECT_MISSING


def test_a_long_place_loses_its_middle_and_the_problem_stays_whole() -> None:
    message = word(f"s3://bucket/{'x' * 500}/end.json", "access denied, got 403; ask for it")
    assert len(message) <= 256
    assert message.startswith("s3://bucket/xxx")
    assert message.endswith("x/end.json: access denied, got 403; ask for it")
