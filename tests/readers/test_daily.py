"""`daily` and `bars_1m` beside what DuckDB computes from the trades: two markets and a per-issue feed with both presets of each
stock, over a day with gaps and a day with special hours."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import document
from processes import binary
from test_views import connect, korean

DAY = dt.date(2026, 11, 20)
EXAM = dt.date(2026, 11, 19)
"""On the day of the university entrance exam, trading begins and ends an hour later."""

HOURS = {DAY: ("09:00", "15:30", "15:40"), EXAM: ("10:00", "16:30", "16:40")}
"""Opening, close, and when the last trades of the session are out."""

MARKET_GAP = f"{DAY},KOSPI,10:00:30,10:02:10"
ISSUE_GAP = f"{DAY},ISSUES,11:00:10,11:20:00"
RECORDS, RECORDS_LAST, ISSUE_RECORDS = 4_000, 60_000, 40_000
COMMAND_S_MAX = 300.0
SESSION_S = 390 * 60
FIGURES = "open, high, low, close, volume, value, records"


def run(*arguments: str | Path) -> Any:
    """What a command of the recorder prints as JSON."""
    command = [binary("KRX_RECORDER", "krx-recorder"), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S_MAX)
    assert done.returncode in (0, 65), done.stderr
    return json.loads(done.stdout)


def make_days(data_dir: Path) -> None:
    """Two days of both markets, and a per-issue feed on the last one."""
    command = [binary("KRX_BENCH", "krx-bench"), "days", data_dir, "--until", str(DAY), "--rotate-minutes", "120"]
    markets = ["--days", "2", "--records", str(RECORDS), "--records-last", str(RECORDS_LAST), "--gap", MARKET_GAP]
    issues = ["--days", "1", "--records-last", str(ISSUE_RECORDS), "--pushes", "tick,tick10", "--gap", ISSUE_GAP]
    for arguments in (markets, issues):
        subprocess.run([*command, *arguments], check=True, capture_output=True, timeout=COMMAND_S_MAX)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of these days, sealed, with minute bars."""
    folder = tmp_path_factory.mktemp("daily")
    make_days(folder / "data")
    config(folder)
    report = run("seal", "--config", folder / "config.toml")
    made = {(day["date"], day["dataset"]) for day in report["days"] if day["outcome"] == "made"}
    assert made == {(str(date), dataset) for date in HOURS for dataset in ("daily", "bars_1m")}
    return folder / "data"


def config(folder: Path) -> None:
    text = f'data_dir = "{folder / "data"}"\n\n[seal]\nbars = "1m"\n'
    (folder / "config.toml").write_text(text)


def table(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def read(dataset: str, data_dir: Path) -> str:
    """A dataset as SQL reads it."""
    return f"read_parquet('{data_dir}/{dataset}/**/*.parquet', hive_partitioning = true, hive_types = {{'date': DATE}})"


def bounds(date: dt.date) -> tuple[str, str, str]:
    opens, closes, ends = (f"TIMESTAMPTZ '{korean(date, clock).isoformat()}'" for clock in HOURS[date])
    return opens, closes, ends


@pytest.mark.parametrize("date", HOURS)
def test_rows_of_the_markets_are_what_sql_computes(sealed: Path, date: dt.date) -> None:
    connection, (opens, _, ends) = connect(sealed), bounds(date)
    is_traded = f"kind = 'trade' AND trade_ts >= {opens} AND trade_ts < {ends}"
    expected = table(
        connection,
        f"""
        SELECT market, code, first(price ORDER BY frame, item) FILTER ({is_traded}), max(price) FILTER ({is_traded}),
               min(price) FILTER ({is_traded}), last(price ORDER BY frame, item) FILTER ({is_traded}),
               last(price ORDER BY frame, item) FILTER (kind = 'regular_close'), sum(volume) FILTER ({is_traded}),
               sum(price * volume) FILTER ({is_traded}), count(*) FILTER ({is_traded}),
               min(trade_ts) FILTER ({is_traded}), max(trade_ts) FILTER ({is_traded})
        FROM trades WHERE date = DATE '{date}' GROUP BY ALL ORDER BY ALL
        """,
    )
    found = table(
        connection,
        f"""
        SELECT market, code, open, high, low, close, official_close, volume, value, records, first_ts, last_ts, recorded_share
        FROM {read("daily", sealed)} WHERE date = DATE '{date}' AND market IS NOT NULL ORDER BY feed, code
        """,
    )
    assert len(found) > 1000
    traded = 0
    for row, computed in zip(found, expected, strict=True):
        *row, share = row
        # Nothing was traded in the session, and all of it was recorded: these sums are 0, where SQL's are NULL.
        if computed[9] == 0 and share == 1:
            computed = (*computed[:7], 0, 0, *computed[9:])
        assert tuple(row) == computed
        assert share == pytest.approx(1 - 100 / SESSION_S if (date, row[0]) == (DAY, "KOSPI") else 1, abs=1e-12)
        traded += computed[9]
    assert traded > 1000


def test_rows_of_the_issues_are_what_sql_computes_of_each_trade_once(sealed: Path) -> None:
    connection, (opens, _, ends) = connect(sealed), bounds(DAY)
    order = "trade_ts, acc_volume, recv_ts, frame, item"
    expected = table(
        connection,
        f"""
        SELECT code, first(price ORDER BY {order}), max(price), min(price), last(price ORDER BY {order}), sum(volume)::BIGINT,
               sum(price * volume)::BIGINT, count(*)
        FROM ticks
        WHERE date = DATE '{DAY}' AND kind = 'trade' AND trade_ts >= {opens} AND trade_ts < {ends}
        GROUP BY ALL ORDER BY ALL
        """,
    )
    rows = f"FROM {read('daily', sealed)} WHERE date = DATE '{DAY}' AND feed = 'ISSUES'"
    assert table(connection, f"SELECT code, {FIGURES} {rows} AND records > 0 ORDER BY code") == expected
    assert len(expected) > 50
    twice = table(connection, f"SELECT count(*) FROM recorded_ticks WHERE date = DATE '{DAY}' AND kind = 'trade'")
    once = table(connection, f"SELECT count(*) FROM ticks WHERE date = DATE '{DAY}' AND kind = 'trade'")
    assert twice[0][0] == 2 * once[0][0] > 0
    shares = f"SELECT code, max(share) FROM recorded_issues('{DAY}') WHERE preset IN ('tick', 'tick10') GROUP BY code"
    found = dict(table(connection, f"SELECT code, recorded_share {rows}"))
    expected_shares = dict(table(connection, shares))
    assert found == pytest.approx({code: expected_shares[code] for code in found}, abs=1e-12)
    assert set(found.values()) != {1.0}
    assert table(connection, f"SELECT count(*) {rows} AND (market IS NOT NULL OR official_close IS NULL)") == [(0,)]


def with_nothing(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Bars of the view without those that say that nothing was traded, which are no rows of `bars_1m`."""
    return [row for row in rows if not (row[-1] and row[-2] == 0)]


def compared(connection: duckdb.DuckDBPyConnection, rows: str) -> list[tuple[Any, ...]]:
    """Rows of `bars_1m` as the view has them: those that are not complete have no values."""
    values = ", ".join(f"CASE WHEN complete THEN {name} END" for name in ("open", "high", "low", "close", "volume", "records"))
    return table(connection, f"SELECT market, ts, code, {values}, complete {rows} ORDER BY market, code, ts")


@pytest.mark.parametrize("date", HOURS)
def test_bars_of_the_markets_are_those_of_the_view(sealed: Path, date: dt.date, tmp_path: Path) -> None:
    # Without the ticks, of which the view makes the bars of registered issues.
    for dataset in ("trades", "coverage"):
        shutil.copytree(sealed / dataset, tmp_path / dataset)
    connection, (opens, _, ends) = connect(tmp_path), HOURS[date]
    columns = "code, open, high, low, close, volume, records, complete"
    expected = table(
        connection,
        f"""
        SELECT market, from_ts, {columns} FROM bars('{date}', from_time := TIME '{opens}', to_time := TIME '{ends}')
        ORDER BY market, code, from_ts
        """,
    )
    found = compared(
        connection, f"FROM {read('bars_1m', sealed)} WHERE date = DATE '{date}' AND market IS NOT NULL"
    )
    assert found == with_nothing(expected)
    assert len(expected) > 400 * 500
    assert {row[-1] for row in found if row[0] == "KOSPI"} == ({True, False} if date == DAY else {True})


def test_bars_of_the_issues_are_those_of_the_view_and_all_add_up_to_the_day(sealed: Path) -> None:
    connection, (opens, _, ends) = connect(sealed), HOURS[DAY]
    columns = "code, open, high, low, close, volume, records, complete"
    expected = table(
        connection,
        f"""
        SELECT NULL, from_ts, {columns} FROM bars('{DAY}', from_time := TIME '{opens}', to_time := TIME '{ends}')
        WHERE exact ORDER BY code, from_ts
        """,
    )
    bars = f"FROM {read('bars_1m', sealed)} WHERE date = DATE '{DAY}' AND feed = 'ISSUES'"
    assert compared(connection, f"{bars} AND complete") == with_nothing(expected)
    assert len(expected) > 10_000
    assert table(connection, f"SELECT count(DISTINCT ts) {bars} AND NOT complete") == [(20,)]
    summed = f"""
        SELECT date, feed, code, first(open ORDER BY ts) FILTER (records > 0), max(high), min(low),
               last(close ORDER BY ts) FILTER (records > 0), sum(volume)::BIGINT, sum(value)::BIGINT, sum(records)::BIGINT
        FROM {read("bars_1m", sealed)} GROUP BY ALL HAVING sum(records) > 0 ORDER BY ALL
    """
    rows = f"SELECT date, feed, code, {FIGURES} FROM {read('daily', sealed)} WHERE records > 0 ORDER BY ALL"
    assert table(connection, rows) == table(connection, summed)


def test_pandas_and_polars_read_them(sealed: Path) -> None:
    with_duckdb = duckdb.sql(f"SELECT feed, code, close, records FROM {read('daily', sealed)} ORDER BY ALL").fetchall()
    frame = pd.read_parquet(sealed / "daily", dtype_backend="numpy_nullable")
    frame = frame[["feed", "code", "close", "records"]].astype(object)
    with_pandas = frame.where(frame.notna(), None).itertuples(index=False, name=None)
    columns = ["feed", "code", "close", "records"]
    with_polars = pl.read_parquet(f"{sealed}/daily/**/*.parquet", hive_partitioning=True).select(columns).rows()

    def ordered(rows: Any) -> list[tuple[str, ...]]:
        return sorted(tuple(str(value) for value in row) for row in rows)

    assert ordered(with_pandas) == ordered(with_polars) == ordered(with_duckdb)
    bars = pq.read_table(next((sealed / "bars_1m").rglob("*.parquet")))
    assert str(bars.schema.field("complete").type) == "bool"


def test_the_documents_queries_tell_every_date_and_every_minute(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(sealed)
    busiest = f"SELECT code FROM {read('daily', sealed)} WHERE feed = 'KOSPI' GROUP BY code ORDER BY sum(records) DESC, code"
    code = table(connection, f"{busiest} LIMIT 1")[0][0]
    monkeypatch.chdir(sealed)
    queries = {block.heading: block.text for block in document.blocks() if block.heading in document.DERIVED}
    answers = {heading: table(connection, document.about(text, code, [])) for heading, text in queries.items()}
    assert list(answers) == document.DERIVED
    dates = f"SELECT date, feed FROM {read('daily', sealed)} WHERE code = '{code}' ORDER BY ALL"
    assert [row[:2] for row in answers["daily"]] == table(connection, dates)
    hours = f"from_time := TIME '{HOURS[DAY][0]}', to_time := TIME '{HOURS[DAY][2]}'"
    view = f"SELECT from_ts, volume, complete FROM bars('{DAY}', {hours}) WHERE market = 'KOSPI' AND code = '{code}' AND NOT exact"
    minutes = {row[0]: (row[-2], row[-1]) for row in answers["bars_1m"]}
    assert len(minutes) == 400
    expected = {start: (volume, complete) for start, volume, complete in table(connection, view)}
    assert expected.items() <= minutes.items()
    assert expected


def contents(data_dir: Path) -> dict[Path, bytes]:
    """The files of derived datasets."""
    paths = (path for dataset in ("daily", "bars_1m") for path in (data_dir / dataset).rglob("*.parquet"))
    return {path.relative_to(data_dir): path.read_bytes() for path in paths}


def test_a_second_seal_does_nothing_and_rebuild_makes_the_same_bytes(sealed: Path, tmp_path: Path) -> None:
    shutil.copytree(sealed, tmp_path / "data")
    config(tmp_path)
    data_dir, arguments = tmp_path / "data", ("--config", tmp_path / "config.toml")
    before = contents(data_dir)
    assert len(before) == 4
    assert run("seal", *arguments)["days"] == []
    assert run("verify", *arguments, str(DAY))["findings"] == []
    daily, bars = (next((data_dir / dataset / f"date={DAY}").iterdir()) for dataset in ("daily", "bars_1m"))
    # A row that is not what the trades give, with the same footer; and a file that is gone.
    rows = pq.read_table(daily)
    changed = rows.set_column(rows.schema.get_field_index("records"), "records", [[1] * len(rows)])
    pq.write_table(changed.cast(rows.schema).replace_schema_metadata(pq.read_metadata(daily).metadata), daily)
    bars.unlink()
    findings = run("verify", *arguments, str(DAY))["findings"]
    assert [finding["kind"] for finding in findings] == ["derived"], findings
    rebuilt = run("rebuild", str(DAY), *arguments)
    assert sorted(rebuilt["derived"]["restored"]) == sorted(str(path.relative_to(data_dir)) for path in (daily, bars))
    assert contents(data_dir) == before
    assert run("verify", *arguments, str(DAY))["ok"]
