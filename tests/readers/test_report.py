"""What `krx-recorder report` counts is what its queries find."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Recording
from processes import binary

EARLIER = "2024-01-02"
RESENT = 50


def read(path: Path) -> pa.Table:
    """A file with its footer's key-values, and without columns made of its path."""
    file = pq.ParquetFile(path)
    footer = {key: value for key, value in file.metadata.metadata.items() if key.startswith(b"krx.")}
    return file.read().replace_schema_metadata(footer)


def trades_of(path: Path) -> int:
    """Trades of a file."""
    return read(path)["kind"].to_pylist().count("trade")


def spoil(path: Path, resent_in: Path) -> None:
    """Makes a file odd in every way, and as long as it was; in the middle of one file of a day a server sends again."""
    table = read(path)
    frame = table.to_pandas()
    trades = np.flatnonzero(frame["kind"] == "trade")
    back, far, signals, extra = trades[::50], trades[7::60], trades[3::80], trades[5::90]
    frame.loc[back, "trade_ts"] -= pd.Timedelta(minutes=30)
    frame.loc[far, "price"] *= 2
    frame["kind"] = frame["kind"].astype(str)
    frame.loc[signals, "kind"] = "unknown_signal"
    frame.loc[signals, "trade_ts"] = pd.NaT
    frame.loc[extra, "extra"] = '{"brdId":"G1"}'
    frame.loc[frame["frame"] % 40 == 0, "recv_ts"] -= pd.Timedelta(seconds=7)
    if path > resent_in:
        frame["session"] += 1
    if path == resent_in:
        # A session ends with a trade, and the next one begins with what it ended with.
        middle = trades[len(trades) // 2] + 1
        for name in ("code", "trade_ts", "price", "volume", "kind", "trade_time"):
            frame.loc[middle : middle + RESENT - 1, name] = frame.loc[middle - RESENT : middle - 1, name].to_numpy()
        frame.loc[middle:, "session"] += 1
    spoilt = pa.Table.from_pandas(frame, schema=table.schema.remove_metadata(), preserve_index=False)
    pq.write_table(spoilt.replace_schema_metadata(table.schema.metadata), path, compression="zstd")


@pytest.fixture(scope="module")
def report(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An odd day, with another before it that has other issues; and its figures."""
    data_dir = tmp_path_factory.mktemp("report") / "data"
    shutil.copytree(recording.data_dir, data_dir)
    (day,) = (data_dir / "trades").glob("date=*")
    for partition in day.iterdir():
        files = sorted(partition.iterdir())
        earlier = data_dir / "trades" / f"date={EARLIER}" / partition.name
        earlier.mkdir(parents=True)
        table = read(files[0])
        codes = pd.Series(table["code"].to_pylist()).str.replace("^00", "ZZ", regex=True)
        table = table.set_column(0, table.schema.field("code"), pa.array(codes, pa.string()))
        pq.write_table(table, earlier / files[0].name, compression="zstd")
        resent_in = max(files, key=trades_of)
        for path in files:
            spoil(path, resent_in)
    date = day.name.removeprefix("date=")
    command = [binary("KRX_RECORDER", "krx-recorder"), "report", date, "--data-dir", data_dir, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return data_dir, json.loads(done.stdout)


def test_each_query_finds_as_many_as_the_report_counts(report: tuple[Path, dict[str, Any]]) -> None:
    data_dir, figures = report
    assert {oddity["kind"] for oddity in figures["oddities"] if oddity["count"] > 0} == {
        "trade_time_back", "receive_time_back", "beyond_limit", "unknown_signal", "extra_fields", "never_seen", "vanished", "sent_again",
    }  # fmt: skip
    again = [{"session": 2, "session_before": 1, "records": RESENT}]
    assert [market["sent_again"] for market in figures["markets"]] == [again, again]
    before = Path.cwd()
    os.chdir(data_dir)
    try:
        for oddity in figures["oddities"]:
            connection = duckdb.connect()
            connection.execute("SET TimeZone = 'Asia/Seoul'")
            connection.execute("CREATE TEMP TABLE found AS " + oddity["sql"])
            found = {
                name: [value for (value,) in connection.execute(f"SELECT {name} FROM found").fetchall()]
                for (name, kind, *_) in connection.execute("DESCRIBE found").fetchall()
                if kind != "TIMESTAMP WITH TIME ZONE"
            }
            assert len(found["market"]) == oddity["count"], oddity["kind"]
            assert 1 <= len(oddity["examples"]) <= 10
            # Those of issues have a price, which their query has not.
            for key in ("market", "code", "frame", "item", "price"):
                examples = {example[key] for example in oddity["examples"]} - {None}
                if key in found and examples:
                    assert examples <= set(found[key]), (oddity["kind"], key)
            if oddity["issues"] is not None:
                assert len(set(zip(found["market"], found["code"], strict=True))) == oddity["issues"], oddity["kind"]
    finally:
        os.chdir(before)


def test_its_figures_are_those_that_duckdb_finds(report: tuple[Path, dict[str, Any]]) -> None:
    data_dir, figures = report
    for market in figures["markets"]:
        trades = f"read_parquet('{data_dir}/trades/date={figures['date']}/market={market['market']}/*.parquet')"
        records, issues, lags, below, median, ninety_nine, falls = duckdb.sql(
            f"""
            WITH trades AS (
                SELECT *, (epoch_us(recv_ts) - epoch_us(trade_ts)) / 1000.0 AS lag,
                       lag(volume) OVER (PARTITION BY code ORDER BY frame, item) > volume AS falls
                FROM {trades} WHERE kind = 'trade')
            SELECT (SELECT count(*) FROM {trades}), (SELECT count(DISTINCT code) FROM {trades}), count(*),
                   count(*) FILTER (lag < 0) / count(*), quantile_disc(lag, 0.5), quantile_disc(lag, 0.99),
                   count(*) FILTER (falls)
            FROM trades
            """
        ).fetchall()[0]
        assert (market["records"], market["issues"], market["lag"]["trades"]) == (records, issues, lags)
        assert market["lag"]["below_zero_share"] == pytest.approx(below)
        assert market["lag"]["p50_ms"] == pytest.approx(median, rel=0.016)
        assert market["lag"]["p99_ms"] == pytest.approx(ninety_nine, rel=0.016)
        assert falls > 1000 and market["volume"]["verdict"] == "traded"
