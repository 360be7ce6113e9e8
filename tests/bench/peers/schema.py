"""The columns that every peer produces, and the meaning of `trdTm`.

A peer's file holds the columns of `trades` except `extra`, which is null for every record that Koscom's
public guide describes. `docs/reading-the-data.md` has the full schema.

The benchmarks give frame N (from 1) the receive time "start of the day plus 9 hours plus N milliseconds", so that
two peers' files can be compared value by value. A clock call for each frame costs under 0.1 % of its decoding.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

TZ = "Asia/Seoul"
KST_OFFSET_MS = 9 * 3_600_000
"""Korea has had no summer time since 1988, so the offset is a constant."""

SESSION = 1
"""A frames file is one connection."""

KINDS = (
    "trade",
    "unknown_signal",
    "before_first_trade",
    "regular_close",
    "after_hours_close",
    "single_price_close",
    "buy_in_close",
    "block_before",
    "block_during",
    "block_after",
)

SIGNALS = {
    0: "before_first_trade",
    31_000_000: "regular_close",
    41_000_000: "after_hours_close",
    51_000_000: "block_before",
    61_000_000: "block_during",
    71_000_000: "block_after",
    81_000_000: "single_price_close",
    91_000_007: "buy_in_close",
    91_000_008: "buy_in_close",
}
"""Values of `trdTm` that are not a clock time, and the kind of record that each announces."""

KIND_WORDS = pa.array(KINDS, pa.utf8())

SCHEMA = pa.schema(
    [
        pa.field("code", pa.utf8(), nullable=False),
        pa.field("trade_ts", pa.timestamp("ms", TZ)),
        pa.field("price", pa.int64(), nullable=False),
        pa.field("volume", pa.int64(), nullable=False),
        pa.field("kind", pa.dictionary(pa.int32(), pa.utf8()), nullable=False),
        pa.field("trade_time", pa.int32(), nullable=False),
        pa.field("recv_ts", pa.timestamp("us", TZ), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("item", pa.int16(), nullable=False),
        pa.field("session", pa.int32(), nullable=False),
    ]
)

_TRADE = KINDS.index("trade")


def midnight_ms(date: dt.date) -> int:
    """Milliseconds from the Unix epoch to the start of `date` in Korea."""
    return (date - dt.date(1970, 1, 1)).days * 86_400_000 - KST_OFFSET_MS


def first_recv_us(date: dt.date) -> int:
    """The receive time of "frame 0": 09:00 in Korea, in microseconds from the Unix epoch."""
    return (midnight_ms(date) + 9 * 3_600_000) * 1000


def clock(
    trade_time: npt.NDArray[np.int32], midnight: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    """Splits `trdTm` (HHMMSScc as a number) into times and kinds.

    Returns the trade times in milliseconds from the Unix epoch, a mask that is True where there is no clock time,
    and indices into `KINDS`. `midnight` is that of the trading date in the same unit.
    """
    minutes, hundredths = np.divmod(trade_time, 10_000)
    hours, minutes = np.divmod(minutes, 100)
    signal = (hours > 23) | (minutes > 59) | (hundredths > 5_999) | (trade_time <= 0)
    times = (hours * 60 + minutes).astype(np.int64) * 60_000 + hundredths * 10 + midnight
    kinds = np.full(len(trade_time), _TRADE, np.int32)
    # Signals are one record in a thousand: looking them up one by one is cheaper than nine passes over all.
    for row in np.flatnonzero(signal):
        kinds[row] = KINDS.index(SIGNALS.get(int(trade_time[row]), "unknown_signal"))
    return times, signal, kinds
