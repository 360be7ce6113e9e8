#!/usr/bin/env python3
"""Measures bars of 50 issues, one minute and 20 days: the macro `bars` of krx.sql beside the plain SQL.

    views.py DATA [--repeat 7] [--json FILE]

DATA is a data directory with sealed days. The plain SQL is that of docs/reading-the-data.md with a condition on twenty dates; it
has no row for a minute without a trade, and does not know what was recorded. The two take turns in connections of their own, with
warm caches, and the ratio is that of the best times, by the wall clock and by the processor's: other programs disturb the latter
less. Where both have a bar, they must agree.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "readers"))

import document  # noqa: E402

ISSUES, DAYS = 50, 20
RATIO_MAX = 1.2
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def connect() -> duckdb.DuckDBPyConnection:
    """In the data directory, with its views."""
    connection = duckdb.connect()
    connection.execute((ROOT / "deploy" / "krx.sql").read_text())
    return connection


def queries(codes: list[str], first: str, last: str) -> dict[str, str]:
    """Both, with the same issues and dates."""
    listed = ", ".join(f"'{code}'" for code in codes)
    plain = document.about(document.question("bars", "duckdb"), codes[0], codes)
    one_day = "date = DATE '2026-11-20'"
    if plain.count(one_day) != 1:
        raise SystemExit(f"the document's query has no {one_day}")
    return {
        "plain SQL": plain.replace(one_day, f"date BETWEEN DATE '{first}' AND DATE '{last}'"),
        "bars": f"FROM bars('{first}', last_day := '{last}') WHERE code IN ({listed}) ORDER BY code, from_ts",
    }


def ask(query: str) -> tuple[pa.Table, dict[str, float]]:
    """The answer, and the seconds that it took."""
    with connect() as connection:
        begun = {clock: now() for clock, now in CLOCKS.items()}
        answer = connection.sql(query).to_arrow_table()
        return answer, {clock: now() - begun[clock] for clock, now in CLOCKS.items()}


def compare(plain: pa.Table, bars: pa.Table) -> int:
    """How many bars both have. The day's other hours are in the plain SQL's alone."""
    names = ["code", "minute", "open", "high", "low", "close", "volume"]
    traded = bars.rename_columns(["minute" if name == "from_ts" else name for name in bars.column_names])
    with duckdb.connect() as connection:
        connection.register("plain", plain)
        connection.register("traded", traded)
        columns = ", ".join(names)
        missing = f"SELECT {columns} FROM traded WHERE records > 0 EXCEPT SELECT {columns} FROM plain"
        [(wrong,)] = connection.execute(f"SELECT count(*) FROM ({missing})").fetchall()
        [(common,)] = connection.execute("SELECT count(*) FROM traded WHERE records > 0").fetchall()
    if wrong or not common:
        raise SystemExit(f"{wrong} of {common} bars differ from those of the plain SQL")
    return int(common)


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    json_file = options.json.resolve() if options.json else None
    os.chdir(options.data)
    with connect() as connection:
        dates = [str(date) for (date,) in connection.execute("SELECT DISTINCT date FROM trades ORDER BY 1").fetchall()]
        # Neither the busiest issues nor the quiet ones.
        busiest = f"SELECT code FROM trades WHERE date = '{dates[-1]}' AND kind = 'trade' GROUP BY code ORDER BY count(*) DESC, code"
        codes = [code for (code,) in connection.execute(f"{busiest} LIMIT {ISSUES} OFFSET 10").fetchall()]
    asked = queries(codes, dates[-DAYS], dates[-1])
    best: dict[tuple[str, str], float] = {}
    answers: dict[str, pa.Table] = {}
    for turn in range(options.repeat):
        print(f"turn {turn + 1} of {options.repeat}", file=sys.stderr, flush=True)
        order = list(asked.items())
        random.Random(turn).shuffle(order)
        for name, query in order:
            answers[name], taken = ask(query)
            for clock, seconds in taken.items():
                best[name, clock] = min(seconds, best.get((name, clock), seconds))
    common = compare(answers["plain SQL"], answers["bars"])
    ratios = {clock: best["bars", clock] / best["plain SQL", clock] for clock in CLOCKS}
    print(f"{len(codes)} issues, {DAYS} days, one minute: {answers['bars'].num_rows:,} bars, {common:,} with trades\n")
    print("| | " + " | ".join(CLOCKS) + " |\n|---|" + "---:|" * len(CLOCKS))
    for name in asked:
        print(f"| {name} | " + " | ".join(f"{best[name, clock] * 1000:,.0f} ms" for clock in CLOCKS) + " |")
    print("| ratio | " + " | ".join(f"{ratios[clock]:.2f}" for clock in CLOCKS) + " |")
    if json_file:
        seconds = {f"{name}, {clock}": best[name, clock] for name, clock in best}
        json_file.write_text(json.dumps({"bars": answers["bars"].num_rows, "seconds": seconds, "ratios": ratios}, indent=1))
    if ratios["wall"] > RATIO_MAX:
        print(f"bars take more than {RATIO_MAX} times the plain SQL's time", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
