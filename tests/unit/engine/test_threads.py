"""Ctrl-C while a thread is waited for: it can be waited for again."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from raypipe.engine.threads import Awaited


def test_a_thread_is_waited_for_after_ctrl_c() -> None:
    asked, done = threading.Event(), []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        asked.wait()
        done.append(1)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = Awaited(work, "waited-for")

    def waited() -> None:
        thread.start()
        thread.wait()

    try:
        with pytest.raises(KeyboardInterrupt):
            waited()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not thread.over
    assert not thread.wait(0.05)
    threading.Timer(0.2, asked.set).start()
    assert thread.wait()
    assert done == [1]
