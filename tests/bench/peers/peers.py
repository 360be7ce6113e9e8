#!/usr/bin/env python3
"""What the recorder is measured against: Python programs that do the same work, written to be fast.

    peers.py decode PEER --frames FILE [--of DATASET]           frames to columns in memory
    peers.py seal PEER --frames FILE [--of DATASET] --out FILE  frames to one closed Parquet file
    peers.py socket --url URL --records N --out DIR         live feed to Parquet files
    peers.py socket-journal --url URL --records N --out FILE    live feed to a synced file, unparsed
    peers.py check A B                              do two files hold the same rows?

DATASET is trades, ticks or books; the frames of the last two are pushes (`krx-simulator --write-frames FILE --pushes …`),
and only orjson-pyarrow, orjson-pyarrow-plain and duckdb do these. PEER is json-pandas, orjson-pyarrow,
orjson-pyarrow-plain, msgspec-pyarrow, duckdb or polars. The plain one is the script as it is usually written, with a dict for
each record; the others are written to be fast. A frames file has one WebSocket text message on each line, as
`krx-simulator --write-frames FILE --records N` writes it.

Each measurement prints one JSON line: `peer` (its last word names the benchmark), `records`, `seconds` (wall clock,
the best of `--repeat`), `records_per_second`, `bytes` (JSON taken in for decode, written to disk for the others),
`cpu_seconds` (user and system, of the best run), `runs` (seconds of each) and `versions`.

json-pandas, orjson-pyarrow and msgspec-pyarrow start from the frames in memory, as a list of bytes: reading the file
is not measured. duckdb and polars read the file themselves, from the page cache, and that is measured: it is a small
part (0.02 s for 100 MB). Every peer has one thread.
"""

from __future__ import annotations

import os

# Before polars is first imported, which is when it makes its threads.
os.environ["POLARS_MAX_THREADS"] = "1"

import argparse
import asyncio
import datetime as dt
import gc
import importlib
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

import compare
import decode
import pushes
import sockets
from schema import SCHEMA

PEERS = {
    "json-pandas": ("pandas", "pyarrow"),
    "orjson-pyarrow": ("orjson", "pyarrow"),
    "orjson-pyarrow-plain": ("orjson", "pyarrow"),
    "msgspec-pyarrow": ("msgspec", "pyarrow"),
    "duckdb": ("duckdb",),
    "polars": ("polars",),
}
"""Each peer, and the packages that it stands on."""

READS_FILE = ("duckdb", "polars")

DATASETS = ("trades", *pushes.SCHEMAS)

DO_PUSHES = ("orjson-pyarrow", "orjson-pyarrow-plain", "duckdb")
"""The peers that there are for the per-issue service."""


@dataclass
class Run:
    """One measured run."""

    seconds: float
    cpu_seconds: float
    records: int
    bytes: int


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of Python and of these packages."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def print_result(peer: str, packages: Sequence[str], runs: Sequence[Run]) -> None:
    """Prints the JSON line of the best run."""
    best = min(runs, key=lambda run: run.seconds)
    line = {
        "peer": peer,
        "records": best.records,
        "seconds": round(best.seconds, 4),
        "records_per_second": round(best.records / best.seconds),
        "bytes": best.bytes,
        "cpu_seconds": round(best.cpu_seconds, 4),
        "runs": [round(run.seconds, 4) for run in runs],
        "versions": versions(packages),
    }
    print(json.dumps(line), flush=True)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Runs `work` and returns its wall-clock and its CPU seconds."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    del result  # Freeing the columns is not part of the work.
    return seconds, cpu_seconds


def read_frames(path: Path) -> list[bytes]:
    """The frames in memory; also puts the file in the page cache."""
    return path.read_bytes().splitlines()


def decode_work(peer: str, path: Path, frames: Sequence[bytes], date: dt.date) -> Callable[[], object]:
    """The decoding of one peer, ready to be run."""
    work: dict[str, Callable[[], object]] = {
        "json-pandas": lambda: decode.pandas_columns(frames, date),
        "orjson-pyarrow": lambda: decode.arrow_columns(decode.orjson_batch, frames, date),
        "orjson-pyarrow-plain": lambda: decode.arrow_columns(decode.plain_batch, frames, date),
        "msgspec-pyarrow": lambda: decode.arrow_columns(decode.msgspec_batch, frames, date),
        "duckdb": lambda: decode.duckdb_columns(path, date),
        "polars": lambda: decode.polars_columns(path, date),
    }
    return work[peer]


def seal_work(
    peer: str, path: Path, frames: Sequence[bytes], date: dt.date, out: Path, level: int
) -> Callable[[], object]:
    """The sealing of one peer, ready to be run."""
    work: dict[str, Callable[[], object]] = {
        "json-pandas": lambda: decode.pandas_seal(frames, date, out, level),
        "orjson-pyarrow": lambda: decode.arrow_seal(decode.orjson_batch, frames, date, out, level),
        "orjson-pyarrow-plain": lambda: decode.plain_seal(frames, date, out, level),
        "msgspec-pyarrow": lambda: decode.arrow_seal(decode.msgspec_batch, frames, date, out, level),
        "duckdb": lambda: decode.duckdb_seal(path, date, out, level),
        "polars": lambda: decode.polars_seal(path, date, out, level),
    }
    return work[peer]


def pushes_work(args: argparse.Namespace, frames: Sequence[bytes]) -> Callable[[], object]:
    """The work of one peer on the per-issue service, ready to be run."""
    of, path, date = args.of, args.frames, args.date
    if args.peer == "duckdb":
        if args.command == "seal":
            return lambda: pushes.duckdb_seal(of, path, date, args.out, args.level)
        return lambda: pushes.duckdb_columns(of, path, date)
    plain = args.peer.endswith("-plain")
    if args.command == "seal":
        return lambda: pushes.arrow_seal(of, plain, frames, date, args.out, args.level)
    return lambda: pushes.arrow_columns(of, plain, frames, date)


def measure_frames(args: argparse.Namespace) -> int:
    """`decode` and `seal`."""
    if args.of != "trades" and args.peer not in DO_PUSHES:
        raise SystemExit(f"peers: {args.peer} does not do {args.of}: choose one of {', '.join(DO_PUSHES)}")
    frames = read_frames(args.frames)
    records = sum(frame.count(b"{") for frame in frames) if args.of == "trades" else len(frames)
    size = sum(map(len, frames))
    if args.peer in READS_FILE:
        frames = []
    if args.of != "trades":
        work = pushes_work(args, frames)
    elif args.command == "seal":
        work = seal_work(args.peer, args.frames, frames, args.date, args.out, args.level)
    else:
        work = decode_work(args.peer, args.frames, frames, args.date)
    # Loading a library is not part of the work.
    for package in PEERS[args.peer]:
        importlib.import_module(package)
    # Python's collector of reference cycles finds none here, and looking costs a tenth of the time.
    gc.disable()
    pa.set_cpu_count(1)
    runs = []
    for _ in range(args.repeat):
        seconds, cpu_seconds = timed(work)
        written = args.out.stat().st_size if args.command == "seal" else size
        runs.append(Run(seconds, cpu_seconds, records, written))
    benchmark = args.command if args.of == "trades" else f"{args.command}-{args.of}"
    print_result(f"{args.peer} {benchmark}", PEERS[args.peer], runs)
    return 0


def measure_socket(args: argparse.Namespace) -> int:
    """`socket` and `socket-journal`. CPU time is that of the whole run, from before the connection."""
    gc.disable()
    pa.set_cpu_count(1)
    runs = []
    for _ in range(args.repeat):
        if args.command == "socket":
            work = sockets.record(args.url, args.key, args.records, args.out, args.level, args.plain)
        else:
            work = sockets.journal(args.url, args.key, args.records, args.out)
        cpu = time.process_time()
        received = asyncio.run(asyncio.wait_for(work, args.timeout))
        runs.append(Run(received.seconds, time.process_time() - cpu, received.records, received.bytes))
    if args.command == "socket":
        plain = "-plain" if args.plain else ""
        print_result(f"websockets-orjson-pyarrow{plain} record", ("websockets", "orjson", "pyarrow"), runs)
    else:
        print_result("websockets journal", ("websockets",), runs)
    return 0


def check(args: argparse.Namespace) -> int:
    """`check`: exit status 1 when the files differ."""
    schema = pushes.SCHEMAS.get(args.of, SCHEMA)
    found = compare.differences(args.left, args.right, args.ignore, schema)
    print(json.dumps({"same": not found, "differences": found}), flush=True)
    return 1 if found else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("decode", "seal"):
        sub = commands.add_parser(name)
        sub.add_argument("peer", choices=PEERS)
        sub.add_argument("--frames", type=Path, required=True, help="one message on each line")
        sub.add_argument("--of", choices=DATASETS, default="trades", help="dataset (default %(default)s)")
        sub.add_argument("--date", type=dt.date.fromisoformat, default=dt.date(2026, 11, 20), help="trading date")
        sub.set_defaults(run=measure_frames)
        if name == "seal":
            sub.add_argument("--out", type=Path, required=True, help="Parquet file to write")
            sub.add_argument("--level", type=int, default=1, help="zstd level (default %(default)s)")
    for name in ("socket", "socket-journal"):
        sub = commands.add_parser(name)
        sub.add_argument("--url", required=True, help="for instance ws://127.0.0.1:9887/ws_ksp")
        sub.add_argument("--records", type=int, required=True)
        sub.add_argument("--key", default=os.environ.get("KRX_API_KEY", "peer"), help="default: $KRX_API_KEY")
        sub.add_argument("--timeout", type=float, default=600.0, help="seconds for one run (default %(default)s)")
        sub.add_argument("--out", type=Path, required=True, help="directory (socket) or file (socket-journal)")
        sub.set_defaults(run=measure_socket)
        if name == "socket":
            sub.add_argument("--level", type=int, default=1, help="zstd level (default %(default)s)")
            sub.add_argument("--plain", action="store_true", help="as usually written: a dict for each record")
    for sub in commands.choices.values():
        sub.add_argument("--repeat", type=int, default=3, help="runs; the best counts (default %(default)s)")
    sub = commands.add_parser("check")
    sub.add_argument("left", type=Path)
    sub.add_argument("right", type=Path)
    sub.add_argument("--of", choices=DATASETS, default="trades", help="dataset (default %(default)s)")
    sub.add_argument("--ignore", action="append", default=[], metavar="COLUMN", help="may be given again")
    sub.set_defaults(run=check)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit status."""
    args = parse(argv)
    status: int = args.run(args)
    return status


if __name__ == "__main__":
    sys.exit(main())
