"""The double in a thread, on the real time, for tests against a real API server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

INTERVAL_S = 0.1


class Steps(Protocol):
    """What is looked at once at each step."""

    def step(self, now_s: float) -> None:
        """Looks at everything once."""
        ...


D = TypeVar("D", bound=Steps)


@contextmanager
def running_kuberay(double: D, *, interval_s: float = INTERVAL_S) -> Iterator[D]:
    """Steps the double until the end of the block. What went wrong in it is raised there."""
    is_over = threading.Event()
    errors: list[Exception] = []

    def run() -> None:
        while not is_over.is_set():
            try:
                double.step(time.time())
            except Exception as error:  # noqa: BLE001 - the thread's edge: raised by the block
                errors.append(error)
                return
            is_over.wait(interval_s)

    thread = threading.Thread(target=run, name="kuberay-double", daemon=True)
    thread.start()
    try:
        yield double
    finally:
        is_over.set()
        thread.join(timeout=30)
    if errors:
        raise errors[0]
