"""What the simulator's ledger says of the per-issue service, as the rows that a recorder must have written.

Like `ledger`, it applies the rules of `docs/protocol.md` in the plainest way and shares no code with the recorder. It knows
the messages that the simulator sends, not all that a server could send.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

import fields
from ledger import KST, QUARANTINE, SIGNALS, Columns, clock_ms

FEED = "ISSUES"
PRESETS = ("tick", "quote", "tick10", "quote10")
STOCKS = ("005930", "000660", "00088K")
DERIVATIVES = ("101N6000", "401N6N9S", "201N6310", "201N6220*006")
INDICES = ("001",)
ITEMS = ("trdPrc", "trdvol", "trdTm", "accTrdvol", "cmpprevddPrc", "askStep1BstordPrc")
UNKNOWN = "999999"

LISTED = """code,market,base_price
005930,KOSPI,71500
000660,KOSDAQ,181000
00088K,KOSPI,1250
"""
"""The listed issues: with so few, each of them trades all the time."""


def tables(stocks: Sequence[str] = STOCKS) -> str:
    """The feed in the recorder's configuration: every preset of stocks, futures, options and indices."""
    groups = [
        ("stocks", ["change"], ["005930", "00088K"]),
        ("derivatives", PRESETS, DERIVATIVES),
        ("derivatives", ["change"], ["101N6000"]),
        ("stocks", ["index"], INDICES),
        ("stocks", PRESETS, stocks),
        ("stocks", ["tick10"], [UNKNOWN]),
    ]
    text = f'\n[[feed]]\nname = "{FEED}"\nservice = "per_issue"\npath = "/ws/"\n'
    for instruments, presets, codes in groups:
        text += f"\n[[feed.register]]\npresets = {json.dumps(presets)}\ncodes = {json.dumps(codes)}\n"
        if presets == ["change"]:
            text += f"items = {json.dumps(ITEMS)}\n"
        if presets != ["index"]:
            text += f'instruments = "{instruments}"\n'
    return text


@dataclass
class Expected:
    """The rows of one recording, in the order of (`frame`, `item`)."""

    tables: dict[str, pa.Table]
    """Each dataset's, without `recv_ts`; and those of `quarantine`, without `detail` too."""

    sent_us: dict[int, int]
    """frame -> when the simulator sent it, in microseconds from the Unix epoch."""

    pairs: set[tuple[str, str]]
    """What was asked for: presets and codes."""

    refused: set[tuple[str, str]]
    """Those of them that were refused."""


def arrow_type(word: str) -> pa.DataType:
    """A type as `krx-recorder schema --json` spells it."""
    if word.startswith("timestamp["):
        unit, zone = word.removeprefix("timestamp[").removesuffix("]").split(", ")
        return pa.timestamp(unit, zone)
    if word == "dictionary[int32, utf8]":
        return pa.dictionary(pa.int32(), pa.utf8())
    return {
        "utf8": pa.utf8(),
        "binary": pa.binary(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
    }[word]


def schema_of(described: dict[str, Any]) -> pa.Schema:
    """A dataset that `krx-recorder schema --json` describes, without the columns in the path."""
    return pa.schema(
        [pa.field(one["name"], arrow_type(one["type"]), one["nullable"]) for one in described["columns"]]
    )


def predicted(schema: pa.Schema) -> pa.Schema:
    """What the ledger can predict of a dataset: all but `recv_ts`, words as text, and the columns in the path."""
    entries = [
        (entry.name, pa.utf8() if pa.types.is_dictionary(entry.type) else entry.type)
        for entry in schema
        if entry.name != "recv_ts"
    ]
    return pa.schema([*entries, ("date", pa.date32()), ("feed", pa.utf8())])


def objects(text: str) -> Iterator[tuple[str, Any]]:
    """The objects of a message, each with its own text: those of an array, or one after the other."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    at = 1 if text.startswith("[") else 0
    while at < len(text) and text[at] != "]":
        value, end = decoder.raw_decode(text, at)
        yield text[at:end], value
        at = end + 1 if text[end : end + 1] == "," else end


def number(column: pa.DataType, value: Any) -> Any:
    """A value for its column. A decimal must come back exactly from the double nearest to it."""
    if not pa.types.is_floating(column):
        return value
    nearest = float(value)
    assert Decimal(repr(nearest)) == value, f"{value} has too many digits for this test"
    return nearest


def as_sent(value: Any) -> str | None:
    """A value's text, a string without its quotes."""
    return None if value is None else str(value)


def members(extra: dict[str, Any]) -> str | None:
    """The members that no column holds, as the simulator writes them."""
    if not extra:
        return None
    return json.dumps(extra, separators=(",", ":"), ensure_ascii=False)


@dataclass
class Reading:
    """Makes rows of what was sent."""

    midnight_ms: int
    columns: dict[str, Columns]
    asked: dict[int, tuple[str, str]] = field(default_factory=dict)
    """The preset and the code of each `subscribe`, by its id."""

    refused: set[tuple[str, str]] = field(default_factory=set)
    item: int = 0
    """The next row's in its frame."""

    def request(self, text: str) -> None:
        """Hears a request. Whatever the server still sends after an `unsubscribe` is recorded like the rest."""
        message = json.loads(text)
        if message["method"] == "unsubscribe":
            return
        assert message["method"] == "subscribe"
        params = message["params"]
        self.asked[message["id"]] = params["preset"], params["isuSrtCd"]

    def frame(self, text: str, place: dict[str, Any]) -> None:
        """Reads a message."""
        self.item = 0
        try:
            pieces = list(objects(text))
        except ValueError:
            self.columns["quarantine"].add(reason="malformed_json", raw=text.encode(), **place)
            return
        for raw, message in pieces:
            self.message(raw, message, place, alone=raw == text)

    def message(self, raw: str, message: dict[str, Any], place: dict[str, Any], alone: bool) -> None:
        """Reads one object."""
        if message.get("method") == "push":
            data = message["params"]
            preset = data.get("preset", "change")
            if (preset, data["isuSrtCd"]) not in self.asked.values():
                self.columns["quarantine"].add(
                    item=self.item, reason="not_registered", raw=raw.encode(), **place
                )
                self.item += 1
                return
            self.data(preset, data, None, place)
        elif "isuSrtCd" in message.get("result", {}):
            self.data(self.asked[message["id"]][0], message["result"], "snapshot", place)
        elif "error" in message:
            self.refused.add(self.asked[message["id"]])
        elif "result" not in message and message.get("method") != "heartbeat":
            assert alone
            self.columns["quarantine"].add(reason="unknown_message", raw=raw.encode(), **place)

    def data(self, preset: str, data: dict[str, Any], kind: str | None, place: dict[str, Any]) -> None:
        """Reads a push or a state."""
        dataset = fields.dataset_of(preset, data["isuSrtCd"] in DERIVATIVES)
        if kind is None:
            time = data.get("trdTm")
            signal = None if time is None else SIGNALS.get(time, "unknown_signal")
            kind = "update" if time is None else signal if clock_ms(time) is None else "trade"
        row = {"code": data["isuSrtCd"], "kind": kind, **place}
        if dataset == "changes":
            self.changes(row, data)
        else:
            self.record(dataset, row | ({"preset": preset} if dataset.endswith("ticks") else {}), data)

    def add(self, dataset: str, row: dict[str, Any]) -> None:
        self.columns[dataset].add(item=self.item, **row)
        self.item += 1

    def changes(self, row: dict[str, Any], data: dict[str, Any]) -> None:
        extra = members({key: value for key, value in data.items() if key == "isuCd"})
        for key, value in data.items():
            if key not in ("isuSrtCd", "isuCd", "preset"):
                self.add("changes", row | {"field": key, "value": as_sent(value), "extra": extra})

    def record(self, dataset: str, row: dict[str, Any], data: dict[str, Any]) -> None:
        schema = self.columns[dataset].schema
        by_key = {key: column for column, keys in fields.FIELDS[dataset].items() for key in keys.split()}
        extra = {}
        for key, value in data.items():
            if key in ("isuSrtCd", "preset"):
                continue
            column = by_key.get(key)
            words = fields.WORDS.get(column or "")
            if column is None or (words and not 1 <= value <= len(words)):
                extra[key] = value
            elif words:
                row[column] = words[value - 1]
            else:
                row[column] = number(schema.field(column).type, value)
            since_midnight_ms = clock_ms(value) if column in fields.CLOCKS else None
            if since_midnight_ms is not None:
                row[fields.CLOCKS[column or ""]] = self.midnight_ms + since_midnight_ms
        self.add(dataset, row | {"extra": members(extra)})


def read(path: Path, date: dt.date, schemas: dict[str, pa.Schema]) -> Expected:
    """Reads a ledger whose one session of this service was recorded to its end on `date`."""
    midnight_ms = int(dt.datetime.combine(date, dt.time(), KST).timestamp()) * 1000
    columns = {dataset: Columns(predicted(schemas[dataset])) for dataset in fields.DATASETS}
    reading = Reading(midnight_ms, columns | {"quarantine": Columns(QUARANTINE)})
    sent_us: dict[int, int] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry.get("service") != "per_issue":
                continue
            assert entry["session"] == 1, "one session is enough for these tests"
            if entry["kind"] == "request":
                reading.request(entry["text"])
                continue
            frame = len(sent_us) + 1
            sent_us[frame] = entry["sent_us"]
            reading.frame(entry["text"], {"frame": frame, "session": 1, "date": date, "feed": FEED})
    tables = {name: of.table() for name, of in reading.columns.items()}
    return Expected(tables, sent_us, set(reading.asked.values()), reading.refused)
