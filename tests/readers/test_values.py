"""Each reader sees every record that was sent, once, with the values that were sent."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import ledger
import readers
from conftest import FAULTS, MARKETS, RECORDS, Recording

every_reader = pytest.mark.parametrize("reader", readers.READERS)

LATE_S_MAX = 300
"""Longer than a recording takes: a receive time later than this after sending is wrong."""


def as_expected(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A reader's table with the expected columns, types and order."""
    arrays = []
    for field in schema:
        column = table[field.name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if field.name == "date" and not pa.types.is_date(column.type):
            column = column.cast(pa.utf8())
        arrays.append(column.cast(field.type))
    found = pa.Table.from_arrays(arrays, schema=schema)
    return found.sort_by([(schema.names[-1], "ascending"), ("frame", "ascending"), ("item", "ascending")])


def first_difference(found: pa.Table, expected: pa.Table) -> str:
    """Says where two tables of the same length differ first, or "" where they do not."""
    for name in expected.column_names:
        if found[name].equals(expected[name]):
            continue
        values = zip(found[name].to_pylist(), expected[name].to_pylist(), strict=True)
        for row, (left, right) in enumerate(values):
            if left != right:
                return f"{name}, row {row}: {left!r} instead of {right!r} in {expected.slice(row, 1).to_pylist()}"
    return ""


def test_the_day_is_worth_testing(recording: Recording) -> None:
    """Both markets, signals, and every kind of bad message: or the tests below would prove little."""
    expected = recording.expected
    assert expected.trades.num_rows >= RECORDS
    assert pc.unique(expected.trades["market"]).to_pylist() == list(MARKETS)
    assert len(pc.unique(expected.trades["kind"])) >= 3
    assert len(pc.unique(expected.quarantine["reason"])) == len(FAULTS)
    assert 0 < expected.quarantine["item"].null_count < expected.quarantine.num_rows


@every_reader
def test_every_trade_is_there_once_with_its_values(reader: str, recording: Recording) -> None:
    found = as_expected(readers.TABLES[reader](recording.data_dir, "trades"), ledger.TRADES)
    assert found.num_rows == recording.expected.trades.num_rows
    assert first_difference(found, recording.expected.trades) == ""


@every_reader
def test_everything_else_is_in_quarantine(reader: str, recording: Recording) -> None:
    found = as_expected(readers.TABLES[reader](recording.data_dir, "quarantine"), ledger.QUARANTINE)
    assert found.num_rows == recording.expected.quarantine.num_rows
    assert first_difference(found, recording.expected.quarantine) == ""


@every_reader
def test_receive_times_follow_sending(reader: str, recording: Recording) -> None:
    table = readers.TABLES[reader](recording.data_dir, "trades")
    columns = {name: table[name] for name in ("market", "frame", "recv_ts")}
    if pa.types.is_dictionary(columns["market"].type):
        columns["market"] = columns["market"].cast(pa.utf8())
    columns["recv_ts"] = columns["recv_ts"].cast(pa.timestamp("us", readers.TZ)).cast(pa.int64())
    frames = pa.table(columns).group_by(["market", "frame"]).aggregate([("recv_ts", "min"), ("recv_ts", "max")])
    last: dict[str, int] = {}
    for row in frames.sort_by([("market", "ascending"), ("frame", "ascending")]).to_pylist():
        market, recv_us = row["market"], row["recv_ts_min"]
        assert recv_us == row["recv_ts_max"], f"{row}: a frame has one receive time"
        assert recv_us >= last.get(market, 0), f"{row}: received before an earlier frame"
        sent_us = recording.expected.sent_us[market, row["frame"]]
        assert sent_us <= recv_us <= sent_us + LATE_S_MAX * 1_000_000, f"{row}: sent at {sent_us}"
        last[market] = recv_us


def expected_summary(recording: Recording) -> list[tuple[str, int, int, int]]:
    """(market, rows, sum of prices, sum of volumes) by the ledger."""
    groups = recording.expected.trades.group_by("market").aggregate(
        [([], "count_all"), ("price", "sum"), ("volume", "sum")]
    )
    columns = [groups[name].to_pylist() for name in ("market", "count_all", "price_sum", "volume_sum")]
    return sorted(zip(*columns, strict=True))


def test_duckdb_summary(recording: Recording) -> None:
    with readers.duckdb_connect() as connection:
        found = connection.execute(
            f"""SELECT market, count(*), sum(price)::BIGINT, sum(volume)::BIGINT, count(DISTINCT (frame, item))
            FROM {readers.duckdb_relation(recording.data_dir, "trades")}
            WHERE date = '{recording.expected.date}' GROUP BY market ORDER BY market"""
        ).fetchall()
    assert [row[:4] for row in found] == expected_summary(recording)
    assert all(row[4] == row[1] for row in found), "(frame, item) is unique"


def test_duckdb_counts_by_the_hour_in_korea(recording: Recording) -> None:
    """Hours are those of the exchange when the session's time zone is set."""
    with readers.duckdb_connect() as connection:
        relation = readers.duckdb_relation(recording.data_dir, "trades")
        query = f"SELECT hour(trade_ts), count(*) FROM {relation} WHERE kind = 'trade' GROUP BY ALL"
        found = dict(connection.execute(query).fetchall())
    trades = recording.expected.trades
    hours = pc.divide(trades.filter(pc.equal(trades["kind"], "trade"))["trade_time"], 1_000_000)
    expected = {entry["values"]: entry["counts"] for entry in pc.value_counts(hours).to_pylist()}
    assert found == expected


def test_pandas_summary(recording: Recording) -> None:
    frame = readers.pandas_frame(recording.data_dir, "trades")
    groups = frame.groupby("market", observed=True)
    columns = [groups.size().index, groups.size(), groups["price"].sum(), groups["volume"].sum()]
    assert sorted((str(m), int(n), int(p), int(v)) for m, n, p, v in zip(*columns, strict=True)) == expected_summary(
        recording
    )
    assert not frame.duplicated(["market", "frame", "item"]).any()


def test_pandas_reads_one_market_and_two_columns(recording: Recording) -> None:
    import pandas as pd

    frame = pd.read_parquet(
        recording.data_dir / "trades", columns=["kind", "price"], filters=[("market", "==", "KOSPI")]
    )
    assert list(frame.columns) == ["kind", "price"]
    assert len(frame) == dict(row[:2] for row in expected_summary(recording))["KOSPI"]


def test_polars_summary(recording: Recording) -> None:
    import polars as pl

    groups = (
        pl.scan_parquet(readers.glob(recording.data_dir, "trades"), hive_partitioning=True)
        .filter(pl.col("date") == recording.expected.date)
        .group_by("market")
        .agg(
            pl.len(),
            pl.col("price").sum(),
            pl.col("volume").sum(),
            pl.struct("frame", "item").n_unique().alias("unique"),
        )
        .sort("market")
        .collect(engine="streaming")
    )
    assert [row[:4] for row in groups.rows()] == expected_summary(recording)
    assert groups["len"].to_list() == groups["unique"].to_list(), "(frame, item) is unique"


def test_pyarrow_summary(recording: Recording) -> None:
    dataset = readers.pyarrow_dataset(recording.data_dir, "trades")
    summary = []
    for market in MARKETS:
        table = dataset.to_table(
            columns=["price", "volume", "frame", "item"],
            filter=(pc.field("market") == market) & (pc.field("date") == pa.scalar(recording.expected.date)),
        )
        summary.append((market, table.num_rows, pc.sum(table["price"]).as_py(), pc.sum(table["volume"]).as_py()))
        assert table.group_by(["frame", "item"]).aggregate([]).num_rows == table.num_rows, "(frame, item) is unique"
    assert summary == expected_summary(recording)
    assert dataset.count_rows(filter=pc.field("date") == pa.scalar(dt.date(2000, 1, 1))) == 0
