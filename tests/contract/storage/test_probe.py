"""The probe: silent on a fit storage, clear on an unfit one."""

from pathlib import Path

import pytest

from distillery.errors import ExternalError
from ray_jobs.storage.base import Storage
from ray_jobs.storage.local import LocalStorage
from ray_jobs.storage.probe import probe_storage


class OverwritingStorage(LocalStorage):
    """Creates what is there already, as stores do which ignore If-None-Match."""

    def put_new(self, key: str, data: bytes) -> bool:
        self.put_bytes(key, data)
        return True


class RefusingStorage(LocalStorage):
    """Calls every key taken."""

    def put_new(self, key: str, data: bytes) -> bool:
        return False


class ForgetfulStorage(LocalStorage):
    """Gives back something else."""

    def get_bytes(self, key: str) -> bytes:
        return b"else"


def test_a_fit_storage_passes_and_is_left_as_it_was(storage: Storage) -> None:
    storage.put_bytes("jobs/kept", b"x")
    probe_storage(storage, prefix="jobs")
    probe_storage(storage, prefix="")
    assert [stored.key for stored in storage.list()] == ["jobs/kept"]


@pytest.mark.parametrize(
    ("kind", "want"),
    [
        (
            OverwritingStorage,
            "must refuse to create a taken key, got it overwritten; use a storage",
        ),
        (RefusingStorage, "must create a free key, got 'taken'; use a storage with If-None-Match"),
        (ForgetfulStorage, "must give back what was put, got 4 other bytes; use a storage with"),
    ],
)
def test_an_unfit_storage_is_refused(tmp_path: Path, kind: type[LocalStorage], want: str) -> None:
    with pytest.raises(ExternalError, match=want) as caught:
        probe_storage(kind(tmp_path), prefix="jobs")
    assert caught.value.reason == "StorageUnfit"
    assert list(LocalStorage(tmp_path).list()) == []
