"""Times daily rows and minute bars in DuckDB, beside the same answers computed from the trades.

A year of daily rows is made of those of the recorded days, one after the other under the dates of 250 trading days: what is
read is as long as a year's, and every file is as the recorder wrote it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

DATES = 250
ISSUES = 100
GOAL_YEAR_S, GOAL_BARS = 0.2, 3.0
READ = "read_parquet('{folder}/**/*.parquet', hive_partitioning = true, hive_types = {{'date': DATE}})"
SESSION = "(extract(hour FROM trade_ts) * 60 + extract(minute FROM trade_ts))"


def make_year(data_dir: Path, year: Path) -> None:
    """The daily files of `data_dir` under as many dates as a year has."""
    shutil.rmtree(year, ignore_errors=True)
    files = sorted((data_dir / "daily").rglob("*.parquet"))
    for number in range(DATES):
        folder = year / "daily" / f"date={dt.date(2026, 1, 1) + dt.timedelta(days=number)}"
        folder.mkdir(parents=True)
        shutil.copy(files[number % len(files)], folder)


def best(repeat: int, ask: Callable[[], Any]) -> tuple[float, Any]:
    """The shortest of several times in seconds, and the answer."""
    times, answer = [], None
    for _ in range(repeat):
        begin = time.perf_counter()
        answer = ask()
        times.append(time.perf_counter() - begin)
    return min(times), answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--year", type=Path, required=True, help="folder for a year of daily rows")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    make_year(options.data_dir, options.year)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Seoul'")

    def ask(query: str) -> Callable[[], Any]:
        return lambda: connection.sql(query).to_arrow_table()

    year, trades, bars = (
        READ.format(folder=folder)
        for folder in (options.year / "daily", options.data_dir / "trades", options.data_dir / "bars_1m")
    )
    columns = "date, feed, code, open, high, low, close, volume, value"
    read_s, rows = best(options.repeat, ask(f"SELECT {columns} FROM {year}"))
    all_s, _ = best(options.repeat, ask(f"SELECT * FROM {year}"))
    computed_s, computed = best(
        options.repeat,
        ask(
            f"""
            SELECT date, market, code, first(price ORDER BY frame, item) AS open, max(price) AS high, min(price) AS low,
                   last(price ORDER BY frame, item) AS close, sum(volume) AS volume, sum(price * volume) AS value
            FROM {trades} WHERE kind = 'trade' AND {SESSION} < 15 * 60 + 40 GROUP BY ALL
            """
        ),
    )
    days = connection.execute(f"SELECT count(DISTINCT date) FROM {trades}").fetchall()[0][0]
    issues = f"SELECT code FROM {READ.format(folder=options.data_dir / 'daily')} GROUP BY code ORDER BY sum(records) DESC, code"
    codes = [code for (code,) in connection.execute(f"{issues} LIMIT {ISSUES}").fetchall()]
    wanted = ", ".join(f"'{code}'" for code in codes)
    bars_s, found = best(
        options.repeat,
        ask(
            f"SELECT date, feed, code, ts, open, high, low, close, volume FROM {bars} "
            f"WHERE code IN ({wanted})"
        ),
    )
    bars_computed_s, made = best(
        options.repeat,
        ask(
            f"""
            SELECT date, market, code, time_bucket(INTERVAL '1 minute', trade_ts) AS ts,
                   first(price ORDER BY frame, item) AS open, max(price) AS high, min(price) AS low,
                   last(price ORDER BY frame, item) AS close, sum(volume) AS volume
            FROM {trades} WHERE kind = 'trade' AND code IN ({wanted}) AND {SESSION} < 15 * 60 + 40 GROUP BY ALL
            """
        ),
    )
    year_computed_s = computed_s * DATES / days
    results = {
        "year_rows": len(rows),
        "year_s": read_s,
        "year_all_columns_s": all_s,
        "year_computed_s": year_computed_s,
        "days": days,
        "days_rows": len(computed),
        "bars": len(found),
        "bars_computed": len(made),
        "bars_s": bars_s,
        "bars_computed_s": bars_computed_s,
    }
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    print("| | s | from trades, s | ratio | goal |")
    print("|---|---|---|---|---|")
    print(
        f"| a year of daily rows: {len(rows):,} rows, 9 columns | {read_s:.3f} | {year_computed_s:.1f} ({days} days' time "
        f"× {DATES}/{days}) | {year_computed_s / read_s:.0f} | {GOAL_YEAR_S} s |"
    )
    print(f"| the same, all columns | {all_s:.3f} | | | |")
    print(
        f"| minute bars of {ISSUES} issues, {days} days: {len(found):,} | {bars_s:.3f} | {bars_computed_s:.3f} | "
        f"{bars_computed_s / bars_s:.1f} | {GOAL_BARS:.0f} times faster |"
    )


if __name__ == "__main__":
    main()
