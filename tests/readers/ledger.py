"""The simulator's ledger as the rows that a recorder must have written: the oracle of these tests.

It applies the rules of `docs/protocol.md` in the plainest way, record by record, and shares no code with the
recorder. It knows the messages that the simulator sends, not all that a server could send.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

TZ = "Asia/Seoul"
KST = dt.timezone(dt.timedelta(hours=9))

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

TRADES = pa.schema(
    [
        ("code", pa.utf8()),
        ("trade_ts", pa.timestamp("ms", TZ)),
        ("price", pa.int64()),
        ("volume", pa.int64()),
        ("kind", pa.utf8()),
        ("trade_time", pa.int32()),
        ("frame", pa.int64()),
        ("item", pa.int16()),
        ("session", pa.int32()),
        ("extra", pa.utf8()),
        ("date", pa.date32()),
        ("market", pa.utf8()),
    ]
)
"""What the ledger can predict of `trades`: all but `recv_ts`."""

QUARANTINE = pa.schema(
    [
        ("frame", pa.int64()),
        ("item", pa.int16()),
        ("session", pa.int32()),
        ("reason", pa.utf8()),
        ("raw", pa.binary()),
        ("date", pa.date32()),
        ("feed", pa.utf8()),
    ]
)
"""What the ledger can predict of `quarantine`: all but `recv_ts` and `detail`."""


@dataclass
class Expected:
    """The rows of one recording, in the order of (`market` or `feed`, `frame`, `item`)."""

    date: dt.date
    trades: pa.Table
    quarantine: pa.Table
    sent_us: dict[tuple[str, int], int]
    """(market, frame) -> when the simulator sent it, in microseconds from the Unix epoch."""


@dataclass
class Columns:
    """Columns under construction."""

    schema: pa.Schema
    values: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, **row: Any) -> None:
        for name in self.schema.names:
            self.values.setdefault(name, []).append(row.get(name))

    def table(self) -> pa.Table:
        arrays = [pa.array(self.values.get(entry.name, []), entry.type) for entry in self.schema]
        table = pa.Table.from_arrays(arrays, schema=self.schema)
        return table.sort_by([(self.schema.names[-1], "ascending"), ("frame", "ascending"), ("item", "ascending")])


def clock_ms(trade_time: int) -> int | None:
    """Milliseconds since midnight, or None when `trdTm` is not a clock time."""
    hours, minutes = trade_time // 1_000_000, trade_time // 10_000 % 100
    seconds, hundredths = trade_time // 100 % 100, trade_time % 100
    if trade_time == 0 or hours > 23 or minutes > 59 or seconds > 59:
        return None
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + hundredths * 10


def trade(record: dict[str, str], midnight_ms: int) -> dict[str, Any] | None:
    """A record's columns, or None when one of its values is not a number."""
    if not (record["trdPrc"].isdigit() and record["trdVol"].isdigit() and record["trdTm"].isdigit()):
        return None
    trade_time = int(record["trdTm"])
    since_midnight_ms = clock_ms(trade_time)
    is_trade = since_midnight_ms is not None
    return {
        "code": record["isuSrtCd"],
        "trade_ts": None if since_midnight_ms is None else midnight_ms + since_midnight_ms,
        "price": int(record["trdPrc"]),
        "volume": int(record["trdVol"]),
        "kind": "trade" if is_trade else SIGNALS.get(trade_time, "unknown_signal"),
        "trade_time": trade_time,
    }


def is_control(message: dict[str, Any]) -> bool:
    """Whether an object is a reply or a heartbeat, which are neither data nor faults."""
    return "result" in message or message.get("method") == "heartbeat"


def compact(value: Any) -> bytes:
    """JSON as the simulator writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def read(path: Path, date: dt.date) -> Expected:
    """Reads the full-market feeds of a ledger whose sessions were all recorded to their end on `date`."""
    midnight_ms = int(dt.datetime.combine(date, dt.time(), KST).timestamp()) * 1000
    trades, quarantine = Columns(TRADES), Columns(QUARANTINE)
    frames: dict[str, int] = {}
    sent_us: dict[tuple[str, int], int] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            # Session 0 is a connection that was refused; half a message never arrives. `issues` reads the other service.
            if entry["session"] == 0 or entry["kind"] == "partial" or "market" not in entry:
                continue
            market = entry["market"]
            frame = frames[market] = frames.get(market, 0) + 1
            sent_us[market, frame] = entry["sent_us"]
            place = {"frame": frame, "session": entry["session"], "date": date, "market": market, "feed": market}
            text = entry["text"].encode()
            try:
                message = json.loads(text)
            except ValueError:
                quarantine.add(reason="malformed_json", raw=text, **place)
                continue
            if isinstance(message, dict):
                if not is_control(message):
                    quarantine.add(reason="unknown_message", raw=text, **place)
                continue
            for item, record in enumerate(message):
                columns = trade(record, midnight_ms)
                if columns is None:
                    quarantine.add(item=item, reason="not_an_integer", raw=compact(record), **place)
                else:
                    trades.add(item=item, **columns, **place)
    return Expected(date, trades.table(), quarantine.table(), sent_us)
