"""The peers of the decoder and of the committed file: five ways a Python developer would turn frames into columns.

Every function named `*_columns` goes from frames to columns in memory; every function named `*_seal` goes on to one
closed Parquet file. Each takes one thread. None checks its input as the recorder does: a bad record makes a peer
fail, and no peer keeps unknown fields, so each does somewhat less work than the recorder.

Frames are handled in groups of a few hundred, which measured fastest: the parsed objects of a small group stay in the
processor's cache and are freed into the allocator that the next group takes them from.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from schema import KIND_WORDS, KINDS, SCHEMA, SESSION, SIGNALS, TZ, clock, first_recv_us, midnight_ms

GROUP_FRAMES = 200
"""Frames decoded at a time: up to 10,000 records."""

PANDAS_GROUP_FRAMES = 500
"""Larger for pandas, whose fixed cost for a DataFrame is a millisecond."""

ENCODINGS: dict[str, Any] = {
    "use_dictionary": ["code", "price", "kind", "item"],
    "column_encoding": dict.fromkeys(("trade_ts", "trade_time", "frame", "session"), "DELTA_BINARY_PACKED"),
}
"""Parquet settings of the recorder, for the peers whose writer has such settings."""

_FRAME_TYPE = pa.list_(pa.struct([(key, pa.utf8()) for key in ("isuSrtCd", "trdPrc", "trdVol", "trdTm")]))


class Trade(msgspec.Struct, gc=False):
    """A record as msgspec decodes it. `trdTm` stays text: msgspec refuses the leading zero in "09000012"."""

    isuSrtCd: str
    trdPrc: int
    trdVol: int
    trdTm: str


decode_trades = msgspec.json.Decoder(list[Trade], strict=False).decode


def groups(frames: Sequence[bytes], size: int) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Yields (number of the first frame, from 1; frames) for each group of `size` frames."""
    for start in range(0, len(frames), size):
        yield start + 1, frames[start : start + size]


def steady_recv_us(date: dt.date, first: int, count: int) -> npt.NDArray[np.int64]:
    """The benchmark's receive times of `count` frames from number `first`, in microseconds from the Unix epoch."""
    return first_recv_us(date) + np.arange(first, first + count, dtype=np.int64) * 1000


def positions(lengths: npt.NDArray[np.int64], first: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16]]:
    """The columns `frame` and `item` for frames of these lengths (in records), numbered from `first`."""
    starts = np.cumsum(lengths) - lengths
    frame = np.repeat(np.arange(first, first + len(lengths), dtype=np.int64), lengths)
    item = np.arange(lengths.sum(), dtype=np.int64) - np.repeat(starts, lengths)
    return frame, item.astype(np.int16)


def batch(
    code: pa.Array,
    price: pa.Array,
    volume: pa.Array,
    trade_time: pa.Array,
    lengths: npt.NDArray[np.int64],
    first: int,
    recv_us: npt.NDArray[np.int64],
    midnight: int,
) -> pa.RecordBatch:
    """Adds the derived columns to the four that were sent. `recv_us` has one value for each frame."""
    times, signal, kinds = clock(trade_time.to_numpy(), midnight)
    frame, item = positions(lengths, first)
    columns = [
        code,
        pa.array(times, pa.timestamp("ms", TZ), mask=signal),
        price,
        volume,
        pa.DictionaryArray.from_arrays(pa.array(kinds), KIND_WORDS),
        trade_time,
        pa.array(np.repeat(recv_us, lengths), pa.timestamp("us", TZ)),
        pa.array(frame),
        pa.array(item),
        pa.array(np.full(len(frame), SESSION, np.int32)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def orjson_batch(frames: Sequence[bytes], first: int, recv_us: npt.NDArray[np.int64], midnight: int) -> pa.RecordBatch:
    """One group through orjson. Arrow takes the parsed objects as they are; that beat list comprehensions."""
    parsed = pa.array([orjson.loads(frame) for frame in frames], _FRAME_TYPE)
    code, price, volume, trade_time = parsed.flatten().flatten()
    return batch(
        code,
        price.cast(pa.int64()),
        volume.cast(pa.int64()),
        trade_time.cast(pa.int32()),
        np.diff(parsed.offsets.to_numpy()).astype(np.int64),
        first,
        recv_us,
        midnight,
    )


def plain_clock(trade_time: int, midnight: int) -> tuple[int | None, str]:
    """One record's time, in milliseconds from the Unix epoch, and its kind."""
    hours, minutes, hundredths = trade_time // 1_000_000, trade_time // 10_000 % 100, trade_time % 10_000
    if trade_time > 0 and hours < 24 and minutes < 60 and hundredths < 6_000:
        return midnight + (hours * 60 + minutes) * 60_000 + hundredths * 10, "trade"
    return None, SIGNALS.get(trade_time, "unknown_signal")


def plain_batch(frames: Sequence[bytes], first: int, recv_us: npt.NDArray[np.int64], midnight: int) -> pa.RecordBatch:
    """One group as scripts are usually written: a dict for each record, and Arrow's `from_pylist`."""
    rows = []
    for number, (frame, received) in enumerate(zip(frames, recv_us.tolist(), strict=True), first):
        for item, record in enumerate(orjson.loads(frame)):
            trade_time = int(record["trdTm"])
            trade_ms, kind = plain_clock(trade_time, midnight)
            rows.append(
                {
                    "code": record["isuSrtCd"],
                    "trade_ts": trade_ms,
                    "price": int(record["trdPrc"]),
                    "volume": int(record["trdVol"]),
                    "kind": kind,
                    "trade_time": trade_time,
                    "recv_ts": received,
                    "frame": number,
                    "item": item,
                    "session": SESSION,
                }
            )
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def msgspec_batch(frames: Sequence[bytes], first: int, recv_us: npt.NDArray[np.int64], midnight: int) -> pa.RecordBatch:
    """One group through msgspec, which checks types and turns digits into integers while it parses."""
    parsed = [decode_trades(frame) for frame in frames]
    trades = list(chain.from_iterable(parsed))
    return batch(
        pa.array([trade.isuSrtCd for trade in trades], pa.utf8()),
        pa.array([trade.trdPrc for trade in trades], pa.int64()),
        pa.array([trade.trdVol for trade in trades], pa.int64()),
        pa.array([trade.trdTm for trade in trades], pa.utf8()).cast(pa.int32()),
        np.fromiter(map(len, parsed), np.int64, len(parsed)),
        first,
        recv_us,
        midnight,
    )


BatchDecoder = Callable[[Sequence[bytes], int, "npt.NDArray[np.int64]", int], pa.RecordBatch]


def arrow_columns(decoder: BatchDecoder, frames: Sequence[bytes], date: dt.date) -> pa.Table:
    """All frames to Arrow columns in memory."""
    midnight = midnight_ms(date)
    batches = [
        decoder(group, first, steady_recv_us(date, first, len(group)), midnight)
        for first, group in groups(frames, GROUP_FRAMES)
    ]
    return pa.Table.from_batches(batches, SCHEMA)


def arrow_seal(decoder: BatchDecoder, frames: Sequence[bytes], date: dt.date, out: Path, level: int) -> None:
    """All frames to one Parquet file."""
    write_table(arrow_columns(decoder, frames, date), out, level)


def plain_seal(frames: Sequence[bytes], date: dt.date, out: Path, level: int) -> None:
    """All frames to one Parquet file, with pyarrow's default encodings."""
    table = arrow_columns(plain_batch, frames, date)
    pq.write_table(table, out, compression="zstd", compression_level=level)


def write_table(table: pa.Table, out: Path, level: int) -> None:
    """Writes one row group. The recorder's encodings: they measured twice as fast as pyarrow's defaults."""
    pq.write_table(table, out, compression="zstd", compression_level=level, **ENCODINGS)


def pandas_group(frames: Sequence[bytes], first: int, date: dt.date) -> pd.DataFrame:
    """One group through the standard library's json."""
    codes: list[str] = []
    prices: list[int] = []
    volumes: list[int] = []
    times: list[int] = []
    lengths: list[int] = []
    for frame in frames:
        records = json.loads(frame)
        codes += [record["isuSrtCd"] for record in records]
        prices += [int(record["trdPrc"]) for record in records]
        volumes += [int(record["trdVol"]) for record in records]
        times += [int(record["trdTm"]) for record in records]
        lengths.append(len(records))
    trade_time = np.array(times, np.int32)
    counts = np.array(lengths, np.int64)
    trade_ms, signal, kinds = clock(trade_time, midnight_ms(date))
    trade_ms[signal] = np.iinfo(np.int64).min  # NaT
    frame_number, item = positions(counts, first)
    recv_us = np.repeat(steady_recv_us(date, first, len(frames)), counts)
    return pd.DataFrame(
        {
            "code": pd.array(codes, dtype="string"),
            "trade_ts": pd.DatetimeIndex(trade_ms.view("M8[ms]"), tz="UTC").tz_convert(TZ),
            "price": np.array(prices, np.int64),
            "volume": np.array(volumes, np.int64),
            "kind": pd.Categorical.from_codes(kinds, categories=KINDS),
            "trade_time": trade_time,
            "recv_ts": pd.DatetimeIndex(recv_us.view("M8[us]"), tz="UTC").tz_convert(TZ),
            "frame": frame_number,
            "item": item,
            "session": np.full(len(frame_number), SESSION, np.int32),
        }
    )


def pandas_columns(frames: Sequence[bytes], date: dt.date) -> pd.DataFrame:
    """json and pandas: all frames to one DataFrame."""
    parts = [pandas_group(group, first, date) for first, group in groups(frames, PANDAS_GROUP_FRAMES)]
    return pd.concat(parts, ignore_index=True)


def pandas_seal(frames: Sequence[bytes], date: dt.date, out: Path, level: int) -> None:
    """json and pandas: all frames to one Parquet file."""
    frame = pandas_columns(frames, date)
    frame.to_parquet(out, engine="pyarrow", compression="zstd", compression_level=level, index=False, **ENCODINGS)


def duckdb_query(path: Path, date: dt.date) -> str:
    """The columns as one SQL query over the frames file.

    `records=false` makes each line one list value, `unnest` of the list and of its subscripts side by side gives the
    records with their `item`, and `row_number()` before it gives `frame`. DuckDB keeps the order of the file.
    TIMESTAMPTZ has microseconds only, so `trade_ts` comes out in that unit, with the same instants.
    """
    kinds = " ".join(f"WHEN {value} THEN '{kind}'" for value, kind in SIGNALS.items())
    text = str(path).replace("'", "''")
    return f"""
        SELECT code,
            CASE WHEN is_clock THEN make_timestamptz({midnight_ms(date) * 1000}
                + (t // 1000000) * 3600000000 + (t // 10000 % 100) * 60000000 + (t % 10000) * 10000) END AS trade_ts,
            price, volume,
            CASE WHEN is_clock THEN 'trade' ELSE CASE t {kinds} ELSE 'unknown_signal' END END AS kind,
            t::INTEGER AS trade_time,
            make_timestamptz({first_recv_us(date)} + frame * 1000) AS recv_ts,
            frame, item::SMALLINT AS item, {SESSION}::INTEGER AS session
        FROM (
            SELECT r.isuSrtCd AS code, r.trdPrc::BIGINT AS price, r.trdVol::BIGINT AS volume, r.trdTm::BIGINT AS t,
                t > 0 AND t < 24000000 AND t // 10000 % 100 < 60 AND t % 10000 < 6000 AS is_clock, frame, item
            FROM (
                SELECT unnest(json) AS r, unnest(range(len(json))) AS item, row_number() OVER () AS frame
                FROM read_json('{text}', format = 'newline_delimited', records = false, columns =
                    {{json: 'STRUCT(isuSrtCd VARCHAR, trdPrc VARCHAR, trdVol VARCHAR, trdTm VARCHAR)[]'}})
            )
        )
    """


def duckdb_connect() -> Any:
    """A DuckDB connection that works on one thread."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    return connection


def duckdb_columns(path: Path, date: dt.date) -> None:
    """DuckDB: the frames file to a table in memory."""
    with duckdb_connect() as connection:
        connection.execute(f"CREATE TEMP TABLE trades AS {duckdb_query(path, date)}")


def duckdb_seal(path: Path, date: dt.date, out: Path, level: int) -> None:
    """DuckDB: the frames file to one Parquet file."""
    target = str(out).replace("'", "''")
    options = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {level}"
    with duckdb_connect() as connection:
        connection.execute(f"COPY ({duckdb_query(path, date)}) TO '{target}' ({options})")


def polars_query(path: Path, date: dt.date) -> Any:
    """The columns as a polars query over the frames file.

    polars' NDJSON reader wants an object on each line, so the lines are read as text and decoded as lists of
    structs; `item` is a list of numbers exploded beside them. POLARS_MAX_THREADS must be 1 before the first import.
    """
    import polars as pl

    text = pl.List(pl.Struct(dict.fromkeys(("isuSrtCd", "trdPrc", "trdVol", "trdTm"), pl.String)))
    t = pl.col("trade_time")
    seconds_ms = (t % 10_000).cast(pl.Int64) * 10
    clock_ms = (t // 1_000_000).cast(pl.Int64) * 3_600_000 + (t // 10_000 % 100).cast(pl.Int64) * 60_000 + seconds_ms
    is_clock = (t > 0) & (t < 24_000_000) & (t // 10_000 % 100 < 60) & (t % 10_000 < 6_000)
    signal = t.replace_strict(list(SIGNALS), list(SIGNALS.values()), default="unknown_signal", return_dtype=pl.String)
    return (
        pl.scan_lines(path, name="line", row_index_name="frame", row_index_offset=1)
        .select(pl.col("frame").cast(pl.Int64), pl.col("line").str.json_decode(text).alias("record"))
        .with_columns(item=pl.int_ranges(0, pl.col("record").list.len(), dtype=pl.Int16))
        .explode("record", "item")
        .unnest("record")
        .with_columns(pl.col("trdTm").cast(pl.Int32).alias("trade_time"))
        .select(
            pl.col("isuSrtCd").alias("code"),
            pl.when(is_clock)
            .then(clock_ms + midnight_ms(date))
            .cast(pl.Datetime("ms", "UTC"))
            .dt.convert_time_zone(TZ)
            .alias("trade_ts"),
            pl.col("trdPrc").cast(pl.Int64).alias("price"),
            pl.col("trdVol").cast(pl.Int64).alias("volume"),
            pl.when(is_clock).then(pl.lit("trade")).otherwise(signal).alias("kind"),
            "trade_time",
            (pl.col("frame") * 1000 + first_recv_us(date))
            .cast(pl.Datetime("us", "UTC"))
            .dt.convert_time_zone(TZ)
            .alias("recv_ts"),
            "frame",
            "item",
            pl.lit(SESSION, pl.Int32).alias("session"),
        )
    )


def polars_columns(path: Path, date: dt.date) -> None:
    """polars: the frames file to a DataFrame."""
    polars_query(path, date).collect(engine="streaming")


def polars_seal(path: Path, date: dt.date, out: Path, level: int) -> None:
    """polars: the frames file to one Parquet file, streaming."""
    polars_query(path, date).sink_parquet(out, compression="zstd", compression_level=level)
