from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from luytre_common.lifecycle import Lifecycle, background, on_hangup, stop_on_signals


def part(name: str, log: list[str], fails: str = "") -> tuple[str, object, object]:
    def start() -> None:
        if fails == "start":
            raise RuntimeError(name)
        log.append(f"+{name}")

    def stop() -> None:
        log.append(f"-{name}")
        if fails == "stop":
            raise RuntimeError(name)

    return name, start, stop


def test_in_order_and_in_reverse() -> None:
    log: list[str] = []
    life = Lifecycle()
    for name in "abc":
        life.start(*part(name, log))
    life.stop()
    life.stop()
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_what_cannot_start_takes_the_others_down() -> None:
    log: list[str] = []
    life = Lifecycle()
    life.start(*part("a", log))
    with pytest.raises(RuntimeError, match="b"):
        life.start(*part("b", log, "start"))
    assert log == ["+a", "-a"]


def test_what_cannot_stop_does_not_keep_others(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    life = Lifecycle()
    life.start(*part("a", log))
    life.start(*part("b", log, "stop"))
    life.stop()
    assert log == ["+a", "+b", "-b", "-a"]
    assert "b could not be stopped" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_ask_once_and_are_given_back(number: int) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), number)
        assert asked.wait(10)
        assert signal.getsignal(number) is signal.SIG_DFL, "a second one ends the process"
    assert signal.getsignal(number) is before


def test_the_kernel_knows_a_thread_by_its_name() -> None:
    names: list[str] = []
    thread = background("packets:enp0s31f6#2", lambda: names.append(Path("/proc/thread-self/comm").read_text()))
    assert thread.daemon
    thread.start()
    thread.join()
    assert names == ["packets:enp0s31\n"]


def test_a_hangup_calls_in_a_thread_and_goes_on_after_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []
    happened = threading.Semaphore(0)

    def action() -> None:
        called.append(threading.current_thread().name)
        happened.release()
        if len(called) == 1:
            raise RuntimeError("odd")

    before = signal.getsignal(signal.SIGHUP)
    with on_hangup(action):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
            assert happened.acquire(timeout=20)
    assert called == ["reload"] * 3
    assert "reload failed" in caplog.text
    assert signal.getsignal(signal.SIGHUP) == before
    assert "reload" not in [thread.name for thread in threading.enumerate()]
