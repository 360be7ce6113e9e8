#!/usr/bin/env python3
"""What the jobs of a whole day take: exporting its journal, archiving it, reading it again, restoring it, sealing it.

    bulk.py [--records 12000000] [--turns 3]        `make bench-bulk` makes what it needs

A made-up day of both markets lies in the journal, as a recorder leaves it that never exported anything. Each turn does all jobs, in
this order, on a copy of its own:

    export           the journal to files, a thread for each feed (`krx-bench export`: what a recorder does when it starts)
    export, archive  the same with `journal.keep_days`: each segment is compressed, read back and compared before it is removed
    verify           every file and its checksum, every archived segment
    rebuild          one lost file: the whole day is exported again, and compared
    seal             the rows of each feed divided by issue into one file, and daily rows; read back and compared
    DuckDB           the rows of the same files sorted by issue, into one file for each feed, and nothing else

All input is in memory already. Processor time is of all threads; memory is the most that was resident. Medians of all turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
ROWS = "FROM read_parquet('{source}/*.parquet', hive_partitioning = false)"
SORT = f"COPY ({ROWS} ORDER BY code, frame, item) TO '{{target}}' (COMPRESSION zstd, COMPRESSION_LEVEL 1)"


@dataclass
class Took:
    """What a job took."""

    seconds: float
    cpu: float
    megabytes: float


def run(command: list[str | Path]) -> Took:
    """Runs a program to its end, with nothing left to write from before."""
    os.sync()
    began = time.monotonic()
    with (OUT / "log").open("wb") as log:
        program = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode != 0:
        raise SystemExit(f"bulk: {command} failed:\n{(OUT / 'log').read_text()}")
    # `wait4` counts what this program had when it made the other; that is little, as it loads no library.
    assert used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "the memory is this program's own"
    return Took(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def recorder(job: str, data: Path) -> list[str | Path]:
    """The command of a job of the recorder's own."""
    return [PROGRAMS / "krx-recorder", job, DATE, "--data-dir", data]


def markets(data: Path) -> list[Path]:
    """Where the files of each feed are."""
    return sorted((data / "trades" / f"date={DATE}").iterdir())


def duckdb(statements: list[str]) -> list[str | Path]:
    """The command of DuckDB in a process of its own, which prints the answer to the last statement."""
    text = f"import duckdb\nfor statement in {statements!r}:\n    answer = duckdb.sql(statement)\nprint(answer)\n"
    return [sys.executable, "-c", text]


def must_have(files: str, records: int) -> None:
    """Fails unless the files have so many rows."""
    statement = f"SELECT CASE WHEN count(*) <> {records} THEN error('rows: ' || count(*)) END FROM read_parquet('{files}')"
    subprocess.run(duckdb([statement]), check=True, stdout=subprocess.DEVNULL)


def lose_a_file(data: Path) -> Path:
    """Removes a file in the middle of the day."""
    files = sorted(markets(data)[-1].iterdir())
    files[len(files) // 2].unlink()
    return files[len(files) // 2]


def copy(journal: Path, name: str) -> Path:
    """A copy of the journal, all of it in memory."""
    target = OUT / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(journal, target)
    return target


def turn(journal: Path, records: int, done: Callable[[str, Took], None]) -> None:
    """All jobs once."""
    bench = PROGRAMS / "krx-bench"
    data, archived = copy(journal, "data"), copy(journal, "archived")
    done("export", run([bench, "export", data]))
    done("export, archive", run([bench, "export", "--keep-days", "30", archived]))
    done("verify", run(recorder("verify", archived)))
    lost = lose_a_file(archived)
    done("rebuild", run(recorder("rebuild", archived)))
    assert lost.exists(), "rebuild did not restore the file"
    targets = [(market, OUT / f"{market.name}.parquet") for market in markets(data)]
    done("DuckDB", run(duckdb([SORT.format(source=market, target=target) for market, target in targets])))
    done("seal", run(recorder("seal", data)))
    for files in (f"{OUT}/*.parquet", f"{data}/trades/*/*/*.parquet", f"{archived}/trades/*/*/*.parquet"):
        must_have(files, records)
    for _, target in targets:
        target.unlink()


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
        turn(journal, records, lambda job, took: results.setdefault(job, []).append(took))
    version = subprocess.run([sys.executable, "-c", "import duckdb; print(duckdb.__version__)"], check=True, capture_output=True)
    print(f"{records:,} records; DuckDB {version.stdout.decode().strip()}\n")
    print("| job | seconds | processor, s | records/s | memory |\n|---|---:|---:|---:|---:|")
    for job, turns in results.items():
        seconds = statistics.median(took.seconds for took in turns)
        cpu = statistics.median(took.cpu for took in turns)
        memory = statistics.median(took.megabytes for took in turns)
        print(f"| {job} | {seconds:.1f} | {cpu:.1f} | {records / seconds / 1e6:.1f} M | {memory:.0f} MB |")
    shutil.rmtree(OUT)


if __name__ == "__main__":
    main()
