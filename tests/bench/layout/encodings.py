#!/usr/bin/env python3
"""Which encodings of which columns take how much room, and which readers read them (docs/adr/0034).

    encodings.py DATA --work DIR [--environments target/old-readers] [--rows 6000000]

DATA is what `krx-bench days` wrote. Sizes are of KOSPI's last day, one column at a time, in the two orders in which the
recorder writes. For the readers a file is made of each column, encoding and page version, and each environment that
tests/tools/old-readers.sh has made reads all of them; what it finds is compared with what was written.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[3]
OLD = ROOT / "tests" / "readers" / "old"
sys.path.insert(0, str(OLD))

import read  # noqa: E402

import layouts  # noqa: E402
import measure  # noqa: E402
from layouts import DELTA, DICTIONARY, PLAIN, SPLIT  # noqa: E402

NUMBERS = (PLAIN, DICTIONARY, DELTA, SPLIT)
TEXTS = (PLAIN, DICTIONARY, "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")
ENCODINGS = {name: TEXTS if name in ("code", "extra") else NUMBERS for name in layouts.ENCODINGS} | {
    # All readers make a dictionary of it, and some cannot make one of anything else.
    "kind": (PLAIN, DICTIONARY)
}
ORDERS = {"arrival": replace(layouts.DEFAULT, run_rows=0, group_rows=1 << 20), "sealed": layouts.DEFAULT}
SAMPLE_ROWS = 5_000
PAGES = ("1.0", "2.0")
READ_S_MAX = 900.0

Sizes = dict[tuple[str, str, str], float]
Candidates = dict[str, tuple[Path, str, list[object]]]


def sizes(day: pa.Table, work: Path) -> Sizes:
    """(column, encoding, order) -> bytes per record."""
    found: Sizes = {}
    file = work / "sizes.parquet"
    for order, layout in ORDERS.items():
        for nth in range(len(NUMBERS)):
            encodings = {name: choices[min(nth, len(choices) - 1)] for name, choices in ENCODINGS.items()}
            layouts.write(day, file, replace(layout, encodings=encodings))
            metadata = pq.read_metadata(file)
            for at, (name, encoding) in enumerate(encodings.items()):
                groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
                total = sum(group.column(at).total_compressed_size for group in groups)
                found[name, encoding, order] = total / day.num_rows
    file.unlink()
    return found


def sample(day: pa.Table) -> pa.Table:
    """Rows of the day's begin and of its end, so that hours lie between two of them; `extra` is not all null."""
    table = pa.concat_tables([day.slice(0, SAMPLE_ROWS), day.slice(day.num_rows - SAMPLE_ROWS)]).combine_chunks()
    extra = pa.array([None if row % 3 else f'{{"k":{row}}}' for row in range(table.num_rows)])
    return table.set_column(table.schema.get_field_index("extra"), "extra", extra)


def write_candidates(table: pa.Table, work: Path) -> Candidates:
    """A directory for each candidate, as read.py takes them."""
    found = {}
    for name, encodings in ENCODINGS.items():
        column = table.select([name])
        expected = [read.plain(value) for value in column[name].to_pylist()]
        for encoding in encodings:
            for pages in PAGES:
                data = work / "candidates" / f"{name}-{encoding}-{pages}"
                partition = data / "trades" / "date=2026-11-20" / "market=KOSPI"
                partition.mkdir(parents=True, exist_ok=True)
                layout = replace(ORDERS["arrival"], encodings={name: encoding}, pages=pages, page_rows=4_000)
                layouts.write(column, partition / "trades.parquet", layout)
                found[f"{name} {encoding} {pages}"] = (data, name, expected)
    return found


def environments(where: Path) -> list[tuple[str, str, Path]]:
    """(set, reader, its Python), of those that are installed."""
    lines = (OLD / "sets.txt").read_text().splitlines()
    listed = [line.split()[:2] for line in lines if not line.startswith("#")]
    pythons = [(name, readers.split(",")[0], where / name / "bin" / "python") for name, readers in listed]
    return [one for one in pythons if one[2].exists()]


def readings(work: Path, where: Path, candidates: Candidates, say: Callable[[str], None]) -> dict[str, dict[str, str]]:
    """candidate -> set -> `right`, `wrong` or `error`."""
    found: dict[str, dict[str, str]] = {name: {} for name in candidates}
    task = work / "task"
    task.write_bytes(pickle.dumps({"datasets": {}, "columns": candidates, "days": {}, "answers": {}}))
    for name, reader, python in environments(where):
        say(f"{name} reads {len(candidates)} files")
        command = [python, OLD / "read.py", reader, task]
        done = subprocess.run(command, capture_output=True, text=True, timeout=READ_S_MAX, cwd=work, check=True)
        for one in json.loads(done.stdout.splitlines()[-1]):
            found[one["what"]][name] = one["outcome"]
    return found


def trouble(outcomes: dict[str, str], every: int) -> str:
    """Who does not read a candidate, in words."""
    parts = []
    for outcome, word in (("wrong", "**wrong**"), ("error", "error")):
        names = [name for name, found in outcomes.items() if found == outcome]
        if names:
            parts.append(f"{word}: {'all' if len(names) == every else ', '.join(names)}")
    return "; ".join(parts)


def report(found: Sizes, outcomes: dict[str, dict[str, str]], names: list[str]) -> str:
    """A Markdown table; the encoding that the recorder uses is bold."""
    rows = [f"Read with: {', '.join(names) or 'nothing (tests/tools/old-readers.sh installs it)'}.", ""]
    rows += ["| column | encoding | arrival | sealed | version-1 pages | version-2 pages |", "|---|---|---:|---:|---|---|"]
    for name, encodings in ENCODINGS.items():
        for encoding in encodings:
            size = [f"{found[name, encoding, order]:.3f}" for order in ORDERS]
            read_by = [trouble(outcomes[f"{name} {encoding} {pages}"], len(names)) for pages in PAGES]
            shown = f"**{encoding}**" if layouts.ENCODINGS[name] == encoding else encoding
            rows.append(f"| `{name}` | {shown} | {size[0]} | {size[1]} | {read_by[0]} | {read_by[1]} |")
    return "\n".join(rows)


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--environments", type=Path, default=ROOT / "target" / "old-readers")
    parser.add_argument("--rows", type=int, default=6_000_000)
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    day = measure.load(measure.days(options.data)[-1]).slice(0, options.rows)
    say(f"{day.num_rows:,} rows, each column in each encoding")
    found = sizes(day, work)
    outcomes = readings(work, options.environments, write_candidates(sample(day), work), say)
    print(report(found, outcomes, [name for name, *_ in environments(options.environments)]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
