"""Processes that tests start: where they run, and how they and all they started are killed."""

from pathlib import Path

import psutil  # type: ignore[import-untyped]

REPOSITORY = Path(__file__).parents[1]


def kill_tree(pid: int) -> None:
    """Kills the process and everything it started, Ray's daemons included, without warning."""
    root = psutil.Process(pid)
    family = [root, *root.children(recursive=True)]
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=30)
