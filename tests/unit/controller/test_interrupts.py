"""Signals as a flag."""

import os
import signal

import pytest

from controller.cli.interrupts import Interrupted, Interrupts


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_waits_and_names_the_exit_code(signum: int, code: int) -> None:
    before = signal.getsignal(signum)
    with Interrupts().installed() as interrupts:
        assert not interrupts.has_come
        os.kill(os.getpid(), signum)
        interrupts.wait(60)
        assert interrupts.has_come
        with pytest.raises(Interrupted):
            interrupts.sleep(60)
    assert interrupts.exit_code == code
    assert signal.getsignal(signum) == before
