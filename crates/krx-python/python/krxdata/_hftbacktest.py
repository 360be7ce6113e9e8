"""The events that hftbacktest reads: an array in an `.npz` file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ._errors import NoDataError, UsageError
from ._events import Book, Trade
from ._output import whole

DEPTH, TRADE = 1, 2
BOTH = 1 << 31 | 1 << 30
"""An event at the exchange and here."""

SIDES = {"buy": 1 << 29, "sell": 1 << 28}


def write(path: Path, events: Iterable[Trade | Book], whose: str) -> int:
    """Writes them; returns how many there are."""
    try:
        import numpy as np
    except ImportError:
        raise UsageError("hftbacktest's files are written by numpy: pip install numpy") from None
    # As hftbacktest.types has them. Their `DEPTH_CLEAR` is not used: it clears up to a price.
    event = np.dtype(
        [("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8"), ("order_id", "<u8"),
         ("ival", "<i8"), ("fval", "<f8")], align=True,
    )  # fmt: skip
    rows: list[tuple[int, int, int, float, float, int, int, float]] = []
    chunks = []
    before: dict[str, dict[float, float]] = {"sell": {}, "buy": {}}

    def add(what: int, at_us: int, price: float, quantity: float) -> None:
        rows.append((what | BOTH, at_us * 1000, at_us * 1000, price, quantity, 0, 0, 0.0))
        if len(rows) >= 1 << 16:
            chunks.append(np.array(rows, event))
            rows.clear()

    for each in events:
        if isinstance(each, Trade):
            add(TRADE | SIDES.get(each.side or "", 0), each.at_us, each.price, float(each.volume))
            continue
        now = {"sell": each.asks, "buy": each.bids}
        for side, flag in SIDES.items():
            # The book has the levels that were sent last and no other.
            for gone in sorted(before[side].keys() - now[side].keys()):
                add(DEPTH | flag, each.at_us, gone, 0.0)
            for level, size in now[side].items():
                if before[side].get(level) != size:
                    add(DEPTH | flag, each.at_us, level, size)
        before = now
    found = np.concatenate([*chunks, np.array(rows, event)])
    if not len(found):
        raise NoDataError(f"nothing of {whose} is in files; issues() and registrations() say what is")
    with whole(path) as partial:
        np.savez_compressed(partial, data=found)
    return len(found)
