#!/usr/bin/env python3
"""Measures layouts of a day: bytes per record, and the time of the five questions of docs/reading-the-data.md.

    measure.py DATA --work DIR [--rounds runs,groups,…] [--repeat 5] [--minutes 8] [--sealed NAME=DATA2] [--json FILE]

DATA is what `krx-bench days` wrote. Each candidate is a directory of the same trades in another layout; `--sealed`
adds a data directory that another program laid out. All candidates are asked in turn, again and again, with warm
caches; the best time counts. No turn begins after `--minutes`. Ratios are to pandas' layout in the same run: how many
times faster.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "readers"))

import document  # noqa: E402
import layouts  # noqa: E402

LIBRARIES = ("duckdb", "pandas")
ISSUES = 100


def days(data: Path) -> list[Path]:
    """The partitions of a data directory's trades: date=…/market=…"""
    return sorted(path for path in (data / "trades").glob("date=*/market=*"))


def load(partition: Path) -> pa.Table:
    """One market's day in the order of arrival."""
    table = ds.dataset(partition, format="parquet").to_table()
    return table.sort_by([("frame", "ascending"), ("item", "ascending")]).combine_chunks()


def lay_out(data: Path, work: Path, chosen: dict[str, layouts.Layout], say: Callable[[str], None]) -> dict[str, Path]:
    """Writes every candidate that is not there yet, one partition after the other; gives their directories."""
    writers: dict[str, Callable[[pa.Table, Path], None]] = dict(layouts.BASELINES)
    for name, layout in chosen.items():
        writers[name] = lambda table, path, layout=layout: layouts.write(table, path, layout)
    dirs = {name: work / name.replace(" ", "_").replace(",", "") for name in writers}
    fresh = {name: writer for name, writer in writers.items() if not dirs[name].is_dir()}
    for partition in days(data) if fresh else []:
        table = load(partition)
        say(f"laying out {partition.relative_to(data)}: {table.num_rows:,} rows, {len(fresh)} times")
        for name, write in fresh.items():
            target = dirs[name].with_suffix(".partial") / partition.relative_to(data)
            target.mkdir(parents=True, exist_ok=True)
            write(table, target / "trades.parquet")
    for name in fresh:
        dirs[name].with_suffix(".partial").rename(dirs[name])
    return dirs


def issues(data: Path) -> list[str]:
    """The issues of KOSPI on the last date, those with the most trades first."""
    codes = ds.dataset(days(data)[-1]).to_table(columns=["code"], filter=pc.field("kind") == "trade")["code"]
    counted = pc.value_counts(codes).to_pylist()
    return [entry["values"] for entry in sorted(counted, key=lambda entry: -entry["counts"])]


def ask_duckdb(sql: str) -> float:
    """Seconds of a query in a connection of its own, so that no cache but the system's is warm."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Seoul'")
        start = time.perf_counter()
        connection.sql(sql).to_arrow_table()
        return time.perf_counter() - start


def ask_pandas(code: Any) -> float:
    """Seconds of a Python block."""
    start = time.perf_counter()
    exec(code, {})
    return time.perf_counter() - start


def measure(
    dirs: dict[str, Path],
    questions: list[str],
    codes: list[str],
    repeat: int,
    seconds_max: float,
    say: Callable[[str], None],
) -> dict[str, dict[str, float]]:
    """candidate -> "library question" -> best seconds of so many turns, or of those begun within `seconds_max`."""
    best: dict[str, dict[str, float]] = {name: {} for name in dirs}
    asked = {}
    for library in LIBRARIES:
        for question in questions:
            # Neither the busiest issue nor a quiet one.
            text = document.about(document.question(question, library), codes[10], codes[:ISSUES])
            key = f"{library} {question}"
            asked[key] = (ask_duckdb, text) if library == "duckdb" else (ask_pandas, compile(text, key, "exec"))
    begun = time.monotonic()
    for turn in range(repeat):
        if turn > 0 and time.monotonic() - begun > seconds_max:
            break
        say(f"turn {turn + 1} of {repeat}")
        for key, (ask, text) in asked.items():
            order = list(dirs.items())
            random.Random(turn).shuffle(order)
            for name, path in order:
                os.chdir(path)
                gc.collect()
                seconds = ask(text)
                best[name][key] = min(seconds, best[name].get(key, seconds))
    return best


def size(path: Path) -> int:
    """Bytes of a candidate's trades."""
    return sum(file.stat().st_size for file in (path / "trades").rglob("*.parquet"))


def report(results: dict[str, dict[str, Any]], questions: list[str]) -> str:
    """A Markdown table: sizes, and how many times faster than pandas' layout each question is answered."""
    base = results["pandas"]
    keys = [f"{library} {question}" for library in LIBRARIES for question in questions]
    rows = [
        "| layout | bytes | % | " + " | ".join(keys) + " |",
        "|---|---:|---:|" + "---:|" * len(keys),
    ]
    for name, result in results.items():
        percent = 100 * result["bytes_per_record"] / base["bytes_per_record"]
        cells = [
            f"{result['seconds'][key] * 1000:,.0f} ms" if name == "pandas" else
            f"{base['seconds'][key] / result['seconds'][key]:.2f}"
            for key in keys
        ]
        rows.append(f"| {name} | {result['bytes_per_record']:.2f} | {percent:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", default="runs")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--sealed", action="append", default=[], metavar="NAME=DATA")
    parser.add_argument("--questions", default=",".join(document.QUESTIONS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    # Paths are made absolute before questions are asked from within other directories.
    data, work = options.data.resolve(), options.work.resolve()
    json_file = options.json and options.json.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for left_over in work.glob("*.partial"):
        shutil.rmtree(left_over)
    chosen: dict[str, layouts.Layout] = {}
    for name in filter(None, options.rounds.split(",")):
        chosen |= layouts.candidates(name)
    records = sum(ds.dataset(path).count_rows() for path in days(data))
    dirs = lay_out(data, work, chosen, say)
    dirs |= {name: Path(path).resolve() for name, _, path in (text.partition("=") for text in options.sealed)}
    questions = options.questions.split(",")
    seconds = measure(dirs, questions, issues(data), options.repeat, options.minutes * 60, say)
    results = {
        name: {"bytes_per_record": size(path) / records, "seconds": seconds[name]} for name, path in dirs.items()
    }
    print(report(results, questions), flush=True)
    if json_file:
        json_file.write_text(json.dumps({"records": records, "results": results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
