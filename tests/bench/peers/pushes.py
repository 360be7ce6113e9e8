"""The peers for the per-issue service: pushes of `tick10` and `quote10` to the rows of `ticks` and `books`.

A message is one push with one record, and its values are numbers. The columns are those of the dataset except `extra`.
As for trades, no peer checks its input, and none knows what is registered.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

import decode
from schema import KIND_WORDS, SESSION, SIGNALS, TZ, clock, first_recv_us, midnight_ms

LEVELS = range(1, 11)
SIDES = {"1": "sell", "2": "buy"}
CHANGE_KINDS = {
    str(number): word
    for number, word in enumerate(
        (
            "upper_limit",
            "up",
            "flat",
            "lower_limit",
            "down",
            "quoted_upper_limit",
            "quoted_up",
            "quoted_lower_limit",
            "quoted_down",
        ),
        start=1,
    )
}

WORD = pa.dictionary(pa.int32(), pa.utf8())

TICK_NUMBERS = {
    "price": "trdPrc",
    "volume": "trdvol",
    "acc_volume": "accTrdvol",
    "acc_value": "accTrdval",
    "open": "opnprc",
    "high": "hgprc",
    "low": "lwprc",
    "change": "cmpprevddPrc",
}
TICK_BEST = {"ask_price": "askordPrc_1", "bid_price": "bidordPrc_1"}
"""Sent only when the best quote changed with the trade."""

BOOK_NUMBERS = (
    {"acc_volume": "accTrdvol"}
    | {f"ask_price_{n:02}": f"askStep{n}BstordPrc" for n in LEVELS}
    | {f"ask_size_{n:02}": f"askStep{n}BstordRqty" for n in LEVELS}
    | {f"bid_price_{n:02}": f"bidStep{n}BstordPrc" for n in LEVELS}
    | {f"bid_size_{n:02}": f"bidStep{n}BstordRqty" for n in LEVELS}
    | {
        "ask_total_size": "askordTotRqty",
        "bid_total_size": "bidordTotRqty",
        "after_hours_ask_total_size": "pstoffhrAskTotOrdRqty",
        "after_hours_bid_total_size": "pstoffhrBidTotOrdRqty",
        "expected_price": "deemTrdPrc",
        "expected_volume": "deemTrdvol",
        "expected_acc_volume": "deemAccTrdvol",
    }
)


def _numbers(columns: dict[str, str]) -> list[pa.Field]:
    return [pa.field(name, pa.int64()) for name in columns]


_COMMON = [
    pa.field("kind", WORD, nullable=False),
    pa.field("recv_ts", pa.timestamp("us", TZ), nullable=False),
    pa.field("frame", pa.int64(), nullable=False),
    pa.field("item", pa.int16(), nullable=False),
    pa.field("session", pa.int32(), nullable=False),
]

TICKS = pa.schema(
    [
        pa.field("code", pa.utf8(), nullable=False),
        pa.field("preset", WORD),
        pa.field("trade_ts", pa.timestamp("ms", TZ)),
        pa.field("trade_time", pa.int32()),
        *_numbers(TICK_NUMBERS),
        pa.field("change_kind", WORD),
        pa.field("side", WORD),
        *_numbers(TICK_BEST),
        *_COMMON,
    ]
)

BOOKS = pa.schema([pa.field("code", pa.utf8(), nullable=False), *_numbers(BOOK_NUMBERS), *_COMMON])

SCHEMAS = {"ticks": TICKS, "books": BOOKS}

ENCODINGS: dict[str, dict[str, Any]] = {
    "ticks": {
        "use_dictionary": ["code", "preset", "price", "open", "high", "low", "change", "change_kind", "side"]
        + ["ask_price", "bid_price", "kind", "item"],
        "column_encoding": dict.fromkeys(("trade_ts", "trade_time", "frame", "session"), "DELTA_BINARY_PACKED"),
    },
    "books": {
        "use_dictionary": ["code", "kind", "item"] + [name for name in BOOK_NUMBERS if "price" in name],
        "column_encoding": dict.fromkeys(("frame", "session"), "DELTA_BINARY_PACKED"),
    },
}
"""Parquet settings of the recorder, for the peers whose writer has such settings."""


def _common(kinds: pa.Array, count: int, first: int, recv_us: npt.NDArray[np.int64]) -> list[pa.Array]:
    return [
        kinds,
        pa.array(recv_us, pa.timestamp("us", TZ)),
        pa.array(np.arange(first, first + count, dtype=np.int64)),
        pa.array(np.zeros(count, np.int16)),
        pa.array(np.full(count, SESSION, np.int32)),
    ]


def _words(column: pa.Array, words: dict[str, str]) -> pa.Array:
    """Codes as their words; null for any other."""
    places = {int(code): place for place, code in enumerate(words)}
    found = pa.array([places.get(code) for code in column.to_pylist()], pa.int32())
    return pa.DictionaryArray.from_arrays(found, pa.array(list(words.values())))


_TICK_TYPE = pa.struct(
    [("isuSrtCd", pa.utf8()), ("preset", pa.utf8()), ("trdTm", pa.int32())]
    + [(key, pa.int64()) for key in (TICK_NUMBERS | TICK_BEST).values()]
    + [("cmpprevddTpCd", pa.int8()), ("lstAskbidTpCd", pa.int8())]
)

_BOOK_TYPE = pa.struct([("isuSrtCd", pa.utf8())] + [(key, pa.int64()) for key in BOOK_NUMBERS.values()])


def _parsed(frames: Sequence[bytes], type_: pa.StructType) -> dict[str, pa.Array]:
    """The fields of a group of pushes. Arrow takes the parsed objects as they are."""
    records = pa.array([orjson.loads(frame)["params"] for frame in frames], type_)
    return {type_.field(place).name: column for place, column in enumerate(records.flatten())}


def tick_batch(frames: Sequence[bytes], first: int, recv_us: npt.NDArray[np.int64], midnight: int) -> pa.RecordBatch:
    """One group of `tick10` through orjson, by whole columns."""
    sent = _parsed(frames, _TICK_TYPE)
    times, signal, kinds = clock(sent["trdTm"].to_numpy(), midnight)
    columns = [
        sent["isuSrtCd"],
        sent["preset"].dictionary_encode(),
        pa.array(times, pa.timestamp("ms", TZ), mask=signal),
        sent["trdTm"],
        *(sent[key] for key in TICK_NUMBERS.values()),
        _words(sent["cmpprevddTpCd"], CHANGE_KINDS),
        _words(sent["lstAskbidTpCd"], SIDES),
        *(sent[key] for key in TICK_BEST.values()),
        *_common(pa.DictionaryArray.from_arrays(pa.array(kinds), KIND_WORDS), len(frames), first, recv_us),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=TICKS)


def book_batch(frames: Sequence[bytes], first: int, recv_us: npt.NDArray[np.int64], midnight: int) -> pa.RecordBatch:
    """One group of `quote10` through orjson, by whole columns."""
    del midnight  # A book has no time of its own.
    sent = _parsed(frames, _BOOK_TYPE)
    kinds = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(frames), np.int32)), pa.array(["update"]))
    columns = [sent["isuSrtCd"], *(sent[key] for key in BOOK_NUMBERS.values())]
    return pa.RecordBatch.from_arrays([*columns, *_common(kinds, len(frames), first, recv_us)], schema=BOOKS)


def plain_tick(params: dict[str, Any], midnight: int) -> dict[str, Any]:
    """A trade as a script has it."""
    trade_ms, kind = decode.plain_clock(int(params["trdTm"]), midnight)
    return {
        "code": params["isuSrtCd"],
        "preset": params["preset"],
        "trade_ts": trade_ms,
        "trade_time": int(params["trdTm"]),
        **{name: params.get(key) for name, key in (TICK_NUMBERS | TICK_BEST).items()},
        "change_kind": CHANGE_KINDS.get(str(params["cmpprevddTpCd"])),
        "side": SIDES.get(str(params["lstAskbidTpCd"])),
        "kind": kind,
    }


def plain_book(params: dict[str, Any], midnight: int) -> dict[str, Any]:
    """A book as a script has it."""
    del midnight
    row = {"code": params["isuSrtCd"], "kind": "update"}
    for name, key in BOOK_NUMBERS.items():
        row[name] = params.get(key)
    return row


PLAIN = {"ticks": plain_tick, "books": plain_book}


def plain_batch(
    of: str, frames: Sequence[bytes], first: int, recv_us: npt.NDArray[np.int64], midnight: int
) -> pa.RecordBatch:
    """One group as scripts are usually written: a dict for each record, and Arrow's `from_pylist`."""
    rows = []
    for number, (frame, received) in enumerate(zip(frames, recv_us.tolist(), strict=True), first):
        row = PLAIN[of](orjson.loads(frame)["params"], midnight)
        row |= {"recv_ts": received, "frame": number, "item": 0, "session": SESSION}
        rows.append(row)
    return pa.RecordBatch.from_pylist(rows, SCHEMAS[of])


def batch_decoder(of: str, plain: bool) -> decode.BatchDecoder:
    """What turns a group of frames into rows."""
    if plain:
        return lambda frames, first, recv_us, midnight: plain_batch(of, frames, first, recv_us, midnight)
    return tick_batch if of == "ticks" else book_batch


def arrow_columns(of: str, plain: bool, frames: Sequence[bytes], date: dt.date) -> pa.Table:
    """All frames to Arrow columns in memory."""
    decoder, midnight = batch_decoder(of, plain), midnight_ms(date)
    batches = [
        decoder(group, first, decode.steady_recv_us(date, first, len(group)), midnight)
        for first, group in decode.groups(frames, GROUP_FRAMES)
    ]
    return pa.Table.from_batches(batches, SCHEMAS[of])


GROUP_FRAMES = 2_000
"""Frames decoded at a time: a frame is one record."""


def arrow_seal(of: str, plain: bool, frames: Sequence[bytes], date: dt.date, out: Path, level: int) -> None:
    """All frames to one Parquet file; the plain peer has pyarrow's default encodings."""
    encodings = {} if plain else ENCODINGS[of]
    pq.write_table(
        arrow_columns(of, plain, frames, date), out, compression="zstd", compression_level=level, **encodings
    )


def _case(column: str, words: dict[str, str]) -> str:
    return f"CASE {column} " + " ".join(f"WHEN {code} THEN '{word}'" for code, word in words.items()) + " END"


def duckdb_query(of: str, path: Path, date: dt.date) -> str:
    """The columns as one SQL query over the frames file, as `duckdb_query` for trades."""
    text = str(path).replace("'", "''")
    keys = (TICK_NUMBERS | TICK_BEST) if of == "ticks" else BOOK_NUMBERS
    numbers = ", ".join(f"p.{key} AS {name}" for name, key in keys.items())
    types = ["preset VARCHAR", "isuSrtCd VARCHAR"] + [f"{key} BIGINT" for key in keys.values()]
    common = f"""make_timestamptz({first_recv_us(date)} + frame * 1000) AS recv_ts, frame,
        0::SMALLINT AS item, {SESSION}::INTEGER AS session"""
    if of == "ticks":
        types += [f"{key} BIGINT" for key in ("trdTm", "cmpprevddTpCd", "lstAskbidTpCd")]
        signals = " ".join(f"WHEN {value} THEN '{kind}'" for value, kind in SIGNALS.items())
        own = f"""p.preset AS preset, CASE WHEN is_clock THEN make_timestamptz({midnight_ms(date) * 1000}
                + (t // 1000000) * 3600000000 + (t // 10000 % 100) * 60000000 + (t % 10000) * 10000) END AS trade_ts,
            t::INTEGER AS trade_time, {numbers},
            {_case("p.cmpprevddTpCd", CHANGE_KINDS)} AS change_kind, {_case("p.lstAskbidTpCd", SIDES)} AS side,
            CASE WHEN is_clock THEN 'trade' ELSE CASE t {signals} ELSE 'unknown_signal' END END AS kind"""
        clocks = ", params.trdTm AS t, t > 0 AND t < 24000000 AND t // 10000 % 100 < 60 AND t % 10000 < 6000 AS is_clock"
    else:
        own, clocks = f"{numbers}, 'update' AS kind", ""
    return f"""
        SELECT p.isuSrtCd AS code, {own}, {common}
        FROM (
            SELECT params AS p, row_number() OVER () AS frame{clocks}
            FROM read_json('{text}', format = 'newline_delimited',
                columns = {{params: 'STRUCT({", ".join(types)})'}})
        )
    """


def duckdb_columns(of: str, path: Path, date: dt.date) -> None:
    """DuckDB: the frames file to a table in memory."""
    with decode.duckdb_connect() as connection:
        connection.execute(f"CREATE TEMP TABLE rows AS {duckdb_query(of, path, date)}")


def duckdb_seal(of: str, path: Path, date: dt.date, out: Path, level: int) -> None:
    """DuckDB: the frames file to one Parquet file."""
    target = str(out).replace("'", "''")
    options = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {level}"
    with decode.duckdb_connect() as connection:
        connection.execute(f"COPY ({duckdb_query(of, path, date)}) TO '{target}' ({options})")
