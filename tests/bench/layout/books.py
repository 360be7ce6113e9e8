#!/usr/bin/env python3
"""Measures a day of books: bytes per book, and the time to read one issue's day.

    books.py RECORDED SEALED --work DIR [--repeat 7] [--json FILE]

RECORDED and SEALED are data directories with the same day of books, as recorded in order of arrival and as sealed. Two more
layouts are made of it: one file in order of arrival with pyarrow's defaults, and one with the recorder's encodings, so that
the number of files plays no part. Two questions are asked of each, with each library: all columns of one issue's day, and five
of them. The layouts take turns, in another order in each turn, with warm caches; the best wall-clock and processor times
count. Other programs disturb the latter less. Ratios are to the files while recording: how many times less.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

BEST = ["recv_ts", "ask_price_01", "ask_size_01", "bid_price_01", "bid_size_01"]
QUESTIONS: dict[str, list[str] | None] = {"all columns": None, "five columns": BEST}
RECORDED, SEALED = "while recording", "krx-recorder seal"
ARRIVAL, DEFAULTS = "arrival, one file", "arrival, pyarrow's defaults"

Reader = Callable[[Path, str, "list[str] | None"], int]


def ask_duckdb(books: Path, code: str, columns: list[str] | None) -> int:
    chosen = "*" if columns is None else ", ".join(columns)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Seoul'")
        files = f"read_parquet('{books}/**/*.parquet', hive_partitioning = true)"
        sql = f"SELECT {chosen} FROM {files} WHERE code = ? ORDER BY frame, item"
        return connection.sql(sql, params=[code]).to_arrow_table().num_rows


def ask_pyarrow(books: Path, code: str, columns: list[str] | None) -> int:
    return ds.dataset(books, partitioning="hive").to_table(columns=columns, filter=pc.field("code") == code).num_rows


def ask_polars(books: Path, code: str, columns: list[str] | None) -> int:
    found = pl.scan_parquet(f"{books}/**/*.parquet").filter(pl.col("code") == code)
    return (found if columns is None else found.select(columns)).collect().height


LIBRARIES: dict[str, Reader] = {"duckdb": ask_duckdb, "pyarrow": ask_pyarrow, "polars": ask_polars}


def lay_out(recorded: Path, work: Path) -> dict[str, Path]:
    """The day as one file in order of arrival, in two encodings."""
    files = sorted(recorded.glob("date=*/feed=*/*.parquet"))
    table = pa.concat_tables(pq.read_table(file, partitioning=None) for file in files)
    plain = [name for name in table.column_names if name == "recv_ts" or "size" in name or "volume" in name]
    delta = ["frame", "session"]
    encodings: dict[str, Any] = {
        "use_dictionary": [name for name in table.column_names if name not in plain + delta],
        "column_encoding": dict.fromkeys(delta, "DELTA_BINARY_PACKED") | dict.fromkeys(plain, "PLAIN"),
        "compression": "zstd",
        "compression_level": 1,
        "dictionary_pagesize_limit": 8 << 20,
    }
    found = {}
    for name, options in ((ARRIVAL, encodings), (DEFAULTS, {})):
        found[name] = work / name.replace(",", "").replace("'", "").replace(" ", "-")
        target = found[name] / files[0].parent.relative_to(recorded)
        target.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, target / "books.parquet", **options)
    return found


def issues(recorded: Path) -> list[str]:
    """Codes, those with the most books first."""
    counted = pc.value_counts(ds.dataset(recorded, partitioning="hive").to_table(columns=["code"])["code"]).to_pylist()
    return [entry["values"] for entry in sorted(counted, key=lambda entry: -entry["counts"])]


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}

Seconds = dict[str, dict[str, dict[str, float]]]
"""Clock -> "library, question" -> layout -> seconds for all codes."""


def measure(layouts: dict[str, Path], codes: list[str], repeat: int) -> Seconds:
    """The best of so many turns for each code."""
    best: dict[tuple[str, ...], float] = {}
    rows: dict[str, int] = {}
    for turn in range(repeat):
        print(f"turn {turn + 1} of {repeat}", file=sys.stderr, flush=True)
        for library, ask in LIBRARIES.items():
            for question, columns in QUESTIONS.items():
                for code in codes:
                    order = list(layouts.items())
                    random.Random(f"{turn} {code}").shuffle(order)
                    for name, path in order:
                        gc.collect()
                        begun = {clock: now() for clock, now in CLOCKS.items()}
                        found = ask(path, code, columns)
                        taken = {clock: now() - begun[clock] for clock, now in CLOCKS.items()}
                        if rows.setdefault(code, found) != found:
                            raise SystemExit(f"{library} finds {found} rows of {code} in {name}, not {rows[code]}")
                        for clock, seconds in taken.items():
                            key = (clock, library, question, name, code)
                            best[key] = min(seconds, best.get(key, seconds))
    return {
        clock: {
            f"{library}, {question}": {
                name: sum(best[clock, library, question, name, code] for code in codes) for name in layouts
            }
            for library in LIBRARIES
            for question in QUESTIONS
        }
        for clock in CLOCKS
    }


def size(books: Path) -> int:
    """Bytes of a layout's files."""
    return sum(file.stat().st_size for file in books.rglob("*.parquet"))


def report(sizes: dict[str, float], seconds: dict[str, dict[str, float]], codes: int) -> str:
    """A Markdown table: bytes per book, and how many times faster than while recording each question is answered."""
    rows = ["| layout | bytes per book | " + " | ".join(seconds) + " |", "|---|---:|" + "---:|" * len(seconds)]
    for name, bytes_per_book in sizes.items():
        cells = [
            f"{of[name] / codes * 1000:,.0f} ms" if name == RECORDED else f"{of[RECORDED] / of[name]:.1f}"
            for of in seconds.values()
        ]
        rows.append(f"| {name} | {bytes_per_book:.2f} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", type=Path)
    parser.add_argument("sealed", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    layouts = {RECORDED: options.recorded / "books", SEALED: options.sealed / "books"}
    layouts |= lay_out(layouts[RECORDED], options.work)
    rows = ds.dataset(layouts[RECORDED], partitioning="hive").count_rows()
    codes = issues(layouts[RECORDED])
    # Neither the busiest issue nor a quiet one, and one in the middle.
    asked = [codes[10], codes[len(codes) // 2]]
    seconds = measure(layouts, asked, options.repeat)
    sizes = {name: size(path) / rows for name, path in layouts.items()}
    print(f"{rows:,} books of {len(codes)} issues, {len(list(layouts[RECORDED].rglob('*.parquet')))} files while recording\n")
    for clock, of in seconds.items():
        print(f"By the {clock} clock:\n\n{report(sizes, of, len(asked))}\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "bytes_per_book": sizes, "seconds": seconds}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
