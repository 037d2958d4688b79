"""The log shipper on every kind of storage: growth, a restart, and a limit."""

from pathlib import Path

from ray_jobs.logs.parts import Limits
from ray_jobs.logs.shipper import Shipper
from ray_jobs.storage.base import Storage

LOG = "worker-a-01-7.out"
LIMITS = Limits(part_bytes=1000, log_bytes=3000, pod_bytes=10_000)


def test_logs_are_shipped_alike_to_every_storage(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()

    def ship() -> int | None:
        shipper = Shipper(folder, open_storage=lambda: storage, prefix="logs/pod", limits=LIMITS)
        return shipper.ship()

    lines = [f"{number:08d}\n" for number in range(200)]
    (folder / LOG).write_text("".join(lines))
    assert (ship(), ship()) == (1800, 0)
    with (folder / LOG).open("a") as file:
        file.write("".join(lines) + "end\n")
    assert ship() == 1804

    parts = [stored.key.rpartition(".")[2] for stored in storage.list("logs/pod/")]
    assert parts == ["000000000000000", "000000000002000", "000000000003000"]
    tail = storage.get_bytes(f"logs/pod/{LOG}.{parts[-1]}").decode()
    assert ("".join(lines) * 2 + "end\n").endswith(tail)
    assert len(tail) == 604
