"""The ledger of what was and was not recorded, as its readers see it (I4)."""

from __future__ import annotations

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

from conftest import MARKETS, Recording

STATES = {"live", "gap", "idle"}


def test_one_file_a_feed_and_date_with_the_rows_its_footer_says(recording: Recording) -> None:
    root = recording.data_dir / "coverage"
    for partition in root.glob("date=*/feed=*"):
        (path,) = partition.iterdir()
        day = partition.parent.name.removeprefix("date=").replace("-", "")
        assert path.name == f"coverage-{day}T000000-000000000001-999999999999.parquet"
        file = pq.ParquetFile(path)
        footer = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
        assert int(footer["krx.rows"]) == file.read().num_rows > 0
        assert footer["krx.feed"] == partition.name.removeprefix("feed=")


def test_intervals_adjoin_and_account_for_every_row(recording: Recording) -> None:
    coverage = pd.read_parquet(recording.data_dir / "coverage")
    assert set(coverage["state"]) <= STATES
    for (_, feed), rows in coverage.groupby(["date", "feed"], observed=True):
        rows = rows.sort_values("from_ts")
        assert (rows["from_ts"].iloc[1:].to_numpy() == rows["to_ts"].iloc[:-1].to_numpy()).all(), feed
        assert (rows["session"].notna() == (rows["state"] == "live")).all()
    assert set(coverage["feed"]) == set(MARKETS)
    trades = len(pd.read_parquet(recording.data_dir / "trades", columns=["frame"]))
    quarantine = len(pd.read_parquet(recording.data_dir / "quarantine", columns=["frame"]))
    assert coverage["rows"].sum() == trades + quarantine


def test_every_trade_lies_in_a_live_interval_of_its_session(recording: Recording) -> None:
    outside = duckdb.connect().execute(
        """
        SELECT count(*) FROM read_parquet($trades, hive_partitioning = true) AS t
        WHERE NOT EXISTS (
            FROM read_parquet($coverage, hive_partitioning = true) AS c
            WHERE c.feed = t.market AND c.date = t.date AND c.state = 'live' AND c.session = t.session
              AND t.recv_ts > c.from_ts AND t.recv_ts <= c.to_ts)
        """,
        {
            "trades": str(recording.data_dir / "trades/**/*.parquet"),
            "coverage": str(recording.data_dir / "coverage/**/*.parquet"),
        },
    ).fetchone()
    assert outside == (0,)


def test_polars_reads_the_same_intervals(recording: Recording) -> None:
    frame = pl.read_parquet(recording.data_dir / "coverage", hive_partitioning=True)
    assert frame["from_ts"].dtype == pl.Datetime("us", "Asia/Seoul")
    assert len(frame) == len(pd.read_parquet(recording.data_dir / "coverage"))
