"""An interrupt that waits until a training has reached a state worth saving."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def postponed_interrupt():
    """Yield a `threading.Event` that the first SIGINT sets instead of raising an exception.

    The second one raises `KeyboardInterrupt` as usual; so does the first outside the main thread,
    where Python allows no such thing.
    """
    interrupt = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def postpone(number, frame):
        interrupt.set()
        signal.signal(signal.SIGINT, usual)

    usual = signal.signal(signal.SIGINT, postpone)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, usual)
