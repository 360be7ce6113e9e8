#!/usr/bin/env python3
"""Measures bars of 50 issues, one minute and 20 days: the macro `bars` of krx.sql, and `krxdata`, beside the plain SQL and pandas.

    views.py DATA [--repeat 7] [--json FILE]

DATA is a data directory with sealed days. The plain SQL and the lines of pandas are those of docs/reading-the-data.md with a condition
on twenty dates; they have no row for a minute without a trade, and do not know what was recorded. They take turns in connections of
their own, with warm caches, and a ratio is that of the best times, by the wall clock and by the processor's: other programs disturb
the latter less. Where two have a bar, they must agree.
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

sys.path.insert(0, str(ROOT / "crates" / "krx-python" / "python"))

import document  # noqa: E402
import krxdata  # noqa: E402

ISSUES, DAYS = 50, 20
RATIO_MAX = 1.2
PANDAS_MIN = 3
"""How many times pandas' time krxdata is at least faster."""

Contender = Callable[[], pa.Table]
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def connect() -> duckdb.DuckDBPyConnection:
    """In the data directory, with its views."""
    connection = duckdb.connect()
    connection.execute((ROOT / "deploy" / "krx.sql").read_text())
    return connection


def contenders(codes: list[str], first: str, last: str) -> dict[str, Callable[[], Contender]]:
    """Each with the same issues and dates; what it does before it is asked is not measured."""
    listed = ", ".join(f"'{code}'" for code in codes)
    plain, pandas = (document.about(document.question("bars", library), codes[0], codes) for library in ("duckdb", "pandas"))
    plain = within(plain, "date = DATE '2026-11-20'", f"date BETWEEN DATE '{first}' AND DATE '{last}'")
    pandas = within(pandas, '("date", "==", "2026-11-20")', f'("date", ">=", "{first}"), ("date", "<=", "{last}")')
    macro = f"FROM bars('{first}', last_day := '{last}') WHERE code IN ({listed}) ORDER BY code, from_ts"

    def by_sql(query: str) -> Contender:
        connection = connect()
        return lambda: connection.sql(query).to_arrow_table()

    def by_krxdata() -> Contender:
        data = krxdata.open(".")
        return lambda: data.bars(codes, first, last).to_arrow_table()

    def by_pandas() -> Contender:
        return lambda: pa.Table.from_pandas(document.run_python(pandas).reset_index(), preserve_index=False)

    return {"plain SQL": lambda: by_sql(plain), "bars": lambda: by_sql(macro), "krxdata": by_krxdata, "pandas": by_pandas}


def within(text: str, one_day: str, days: str) -> str:
    """An example of one day, for several."""
    if text.count(one_day) != 1:
        raise SystemExit(f"the document's example has no {one_day}")
    return text.replace(one_day, days)


def ask(contender: Callable[[], Contender]) -> tuple[pa.Table, dict[str, float]]:
    """The answer, and the seconds that it took."""
    answer_of = contender()
    begun = {clock: now() for clock, now in CLOCKS.items()}
    answer = answer_of()
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
    asked = contenders(codes, dates[-DAYS], dates[-1])
    best: dict[tuple[str, str], float] = {}
    answers: dict[str, pa.Table] = {}
    for turn in range(options.repeat):
        print(f"turn {turn + 1} of {options.repeat}", file=sys.stderr, flush=True)
        order = list(asked.items())
        random.Random(turn).shuffle(order)
        for name, contender in order:
            answers[name], taken = ask(contender)
            for clock, seconds in taken.items():
                best[name, clock] = min(seconds, best.get((name, clock), seconds))
    common = compare(answers["plain SQL"], answers["bars"])
    compare(answers["pandas"], answers["krxdata"])
    ratios = {(name, clock): best[name, clock] / best["plain SQL", clock] for name in asked for clock in CLOCKS}
    print(f"{len(codes)} issues, {DAYS} days, one minute: {answers['bars'].num_rows:,} bars, {common:,} with trades\n")
    titles = [title for clock in CLOCKS for title in (clock, "to plain SQL's")]
    print("| | " + " | ".join(titles) + " |\n|---|" + "---:|" * len(titles))
    for name in asked:
        cells = [cell for clock in CLOCKS for cell in (f"{best[name, clock] * 1000:,.0f} ms", f"{ratios[name, clock]:.2f}")]
        print(f"| {name} | " + " | ".join(cells) + " |")
    faster = best["pandas", "wall"] / best["krxdata", "wall"]
    print(f"\nkrxdata takes {ratios['krxdata', 'wall']:.2f} times the plain SQL's time, and pandas {faster:.1f} times that of krxdata")
    if json_file:
        seconds = {f"{name}, {clock}": best[name, clock] for name, clock in best}
        told = {f"{name}, {clock}": ratio for (name, clock), ratio in ratios.items()}
        json_file.write_text(json.dumps({"bars": answers["bars"].num_rows, "seconds": seconds, "ratios": told}, indent=1))
    if max(ratios["bars", "wall"], ratios["krxdata", "wall"]) > RATIO_MAX or faster < PANDAS_MIN:
        print(f"wanted: {RATIO_MAX} times the plain SQL's time, and {PANDAS_MIN} times faster than pandas", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
