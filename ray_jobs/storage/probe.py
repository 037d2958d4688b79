"""Whether a storage does what a run needs, asked before any work is paid for."""

import uuid
from collections.abc import Callable

from distillery.errors import ExternalError, word
from ray_jobs.storage.base import Storage
from ray_jobs.storage.faults import Reason
from ray_jobs.storage.keys import join_key

_FIRST = b"distillery probe, first writer\n"
_SECOND = b"distillery probe, second writer\n"
_NOT_IMPLEMENTED = (400, 405, 501)


def probe_storage(
    storage: Storage,
    *,
    prefix: str,
    make_token: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> None:
    """Puts, gets, creates conditionally and deletes below ``prefix``; leaves nothing there.

    Args:
        prefix: A key prefix in which the run may write.
        make_token: Makes a name no other probe has.

    Raises:
        ExternalError, ResourceError: As ``Storage``; reason ``StorageUnfit`` where a key that is
            taken can be created again, or something else than what was put comes back.
    """
    key = join_key(prefix, f"probe-{make_token()}")
    try:
        storage.put_bytes(key, _FIRST)
        _expect(storage, key, want=_FIRST)
        storage.delete(key)
        if not _create(storage, key, _FIRST):
            raise _unfit(storage, "must create a free key, got 'taken'")
        if _create(storage, key, _SECOND):
            raise _unfit(storage, "must refuse to create a taken key, got it overwritten")
        _expect(storage, key, want=_FIRST)
    finally:
        storage.delete(key)


def _create(storage: Storage, key: str, data: bytes) -> bool:
    try:
        return storage.put_new(key, data)
    except ExternalError as error:
        if error.reason == Reason.STORAGE_FAILED and error.status_code in _NOT_IMPLEMENTED:
            raise _unfit(
                storage, f"must know conditional create, got status {error.status_code}"
            ) from error
        raise


def _expect(storage: Storage, key: str, *, want: bytes) -> None:
    got = storage.get_bytes(key)
    if got != want:
        raise _unfit(storage, f"must give back what was put, got {len(got)} other bytes")


def _unfit(storage: Storage, problem: str) -> ExternalError:
    way_out = "use a storage with If-None-Match writes and read-after-write consistency"
    return ExternalError(word(storage.uri, f"{problem}; {way_out}"), reason=Reason.STORAGE_UNFIT)
