"""Facts that a test shows: one line each, on standard output."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager

WAIT_S_MAX = 20


class Facts:
    """Counts what holds and what does not."""

    def __init__(self) -> None:
        self.held = 0
        self.failed = 0
        self.begun = time.monotonic()

    def that(self, fact: str, holds: object, detail: object = "") -> None:
        """States a fact. The detail is shown when it does not hold."""
        holds, seconds = bool(holds), time.monotonic() - self.begun
        print(f"{'ok  ' if holds else 'FAIL'} {seconds:6.1f} s  {fact}", flush=True)
        if not holds:
            print(f"               {str(detail).strip() or 'it does not hold'}".replace("\n", "\n               "))
        self.held += holds
        self.failed += not holds

    @contextmanager
    def part(self, name: str):
        """A part of the test, which fails as a whole when a step of it cannot be done."""
        print(f"     {name}", flush=True)
        try:
            yield
        except Exception as error:  # noqa: BLE001: whatever it is, it is a fact that is not shown
            self.that(f"{name}: every step can be done", False, f"{type(error).__name__}: {error}")


def wait_until(holds: Callable[[], object], seconds: float = WAIT_S_MAX) -> bool:
    """Waits for it; whether it came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return bool(holds())
