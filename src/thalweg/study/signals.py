"""A signal to stop, taken note of between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_listening: list[Stop] = []
"""Who listens already: what goes on within is told of the same signal."""


@dataclass
class Stop:
    """Whether a stop was asked for.

    Args:
        signal: The signal that came; None while none did.
    """

    signal: signal.Signals | None = None


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and did so with all that it needs to go on.

    Args:
        signal: What asked for it.
        hint: How to go on.
    """

    def __init__(self, signal: signal.Signals, hint: str) -> None:
        super().__init__(f"{signal.name}: {hint}")
        self.signal, self.hint = signal, hint


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Take note of the first Ctrl-C or SIGTERM; a second one does what it always did.

    A signal that is ignored stays so, as Ctrl-C in a job in the background. Outside the main
    thread, where Python lets nobody listen, all signals stay as they are.
    """
    stop = _listening[-1] if _listening else Stop()
    if _listening or threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    before = {each: handler for each, handler in before.items() if handler != signal.SIG_IGN}

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        _restore()

    def _restore() -> None:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)

    for each in before:
        signal.signal(each, note)
    _listening.append(stop)
    try:
        yield stop
    finally:
        _listening.remove(stop)
        _restore()
