#!/usr/bin/env python3
"""What the jobs of a whole day take: exporting its journal, archiving it, reading it again, restoring it, sealing it.

    bulk.py [--records 12000000] [--turns 3]        `make bench-bulk` makes what it needs

A made-up day of both markets lies in the journal, as a recorder leaves it that never exported anything. Each turn does all jobs, in
this order, on a copy of its own:

    export           the journal to files, a thread for each feed (`krx-bench export`: what a recorder does when it starts)
    export, archive  the same with `journal.keep_days`: each segment is compressed, read back and compared before it is removed
    verify           every file and its checksum, every archived segment
    rebuild          one lost file: the whole day is exported again, and compared
    seal             each feed's day into one file sorted by issue, daily rows and bars; read back and compared
    DuckDB           sorts the rows of the same files into one file for each feed, and does nothing else

Processor time is of all threads; memory is the most that was resident. Medians of all turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "target" / "release"
OUT = ROOT / "target" / "bench" / "bulk"
DATE = "2026-11-20"
SORT = "COPY (FROM '{source}/*.parquet' ORDER BY code, frame, item) TO '{target}' (COMPRESSION zstd, COMPRESSION_LEVEL 1)"


@dataclass
class Took:
    """What a job took."""

    seconds: float
    cpu: float
    megabytes: float


def run(command: list[str | Path]) -> Took:
    """Runs a program to its end."""
    began = time.monotonic()
    with (OUT / "log").open("wb") as log:
        program = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode != 0:
        raise SystemExit(f"bulk: {command} failed:\n{(OUT / 'log').read_text()}")
    return Took(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def recorder(job: str, data: Path) -> list[str | Path]:
    """The command of a job of the recorder's own."""
    return [PROGRAMS / "krx-recorder", job, DATE, "--data-dir", data]


def lose_a_file(data: Path) -> None:
    """Removes a file in the middle of the day."""
    files = sorted(data.glob(f"trades/date={DATE}/market=KOSPI/*.parquet"))
    files[len(files) // 2].unlink()


def sort(data: Path) -> list[str | Path]:
    """DuckDB in a process of its own."""
    markets = sorted((data / "trades" / f"date={DATE}").iterdir())
    statements = [SORT.format(source=market, target=OUT / f"{market.name}.parquet") for market in markets]
    text = f"import duckdb\nfor statement in {statements!r}:\n    duckdb.sql(statement)\n"
    return [sys.executable, "-c", text]


def copy(journal: Path, name: str) -> Path:
    """Another name for each file of the journal, which is only read and removed."""
    target = OUT / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(journal, target, copy_function=os.link)
    return target


def turn(journal: Path, done: Callable[[str, Took], None]) -> None:
    """All jobs once."""
    bench = PROGRAMS / "krx-bench"
    data, archived = copy(journal, "data"), copy(journal, "archived")
    done("export", run([bench, "export", data]))
    done("export, archive", run([bench, "export", "--keep-days", "30", archived]))
    done("verify", run(recorder("verify", archived)))
    lose_a_file(archived)
    done("rebuild", run(recorder("rebuild", archived)))
    done("DuckDB", run(sort(data)))
    done("seal", run(recorder("seal", data)))


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=12_000_000)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    journal = OUT / "journal"
    journal.mkdir(parents=True)
    made = subprocess.run(
        [PROGRAMS / "krx-bench", "days", journal, "--days", "1", "--until", DATE, "--journal-only"]
        + ["--records-last", str(args.records)],
        check=True,
        capture_output=True,
    )
    records = json.loads(made.stdout)["records"]
    results: dict[str, list[Took]] = {}
    for number in range(args.turns):
        print(f"turn {number + 1} of {args.turns}", file=sys.stderr, flush=True)
        turn(journal, lambda job, took: results.setdefault(job, []).append(took))
    print(f"{records:,} records\n")
    print("| job | seconds | processor, s | records/s | memory |\n|---|---:|---:|---:|---:|")
    for job, turns in results.items():
        seconds = statistics.median(took.seconds for took in turns)
        cpu = statistics.median(took.cpu for took in turns)
        memory = statistics.median(took.megabytes for took in turns)
        print(f"| {job} | {seconds:.1f} | {cpu:.1f} | {records / seconds / 1e6:.1f} M | {memory:.0f} MB |")
    shutil.rmtree(OUT)


if __name__ == "__main__":
    main()
