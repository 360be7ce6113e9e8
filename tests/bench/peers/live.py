#!/usr/bin/env python3
"""What it costs to record 200 registrations at 5,000 messages a second: the recorder beside the script of `script.py`.

    live.py [--seconds 30] [--rate 5000] [--turns 3]        `make build` comes first

The simulated exchange serves `tick10` and `quote10` of its 100 busiest stocks from the open on, in the same order for both
programs, which take turns. Each runs for so many seconds and is then asked to stop, and commits what it has: processor time
is that of its whole life, for each message, and as a part of one core at this rate. Memory is the most that was resident.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset as ds

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "target" / "release"
START_S_MAX = 60.0


@dataclass
class Cost:
    """What one turn of a program took."""

    cpu_seconds: float
    megabytes: float
    rows: int


def codes() -> list[str]:
    """The stocks that the simulator's `--pushes` are of."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pushes.jsonl")
        command = [PROGRAMS / "krx-simulator", "--write-frames", file, "--pushes", "quote10", "--records", "20000"]
        subprocess.run(command, check=True, capture_output=True)
        return sorted({json.loads(line)["params"]["isuSrtCd"] for line in file.open()})


def simulator(rate: int, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """An exchange, and its port."""
    command = [PROGRAMS / "krx-simulator", "--listen", "127.0.0.1:0", "--json", "--start", "09:00", "--repeat"]
    command += ["--per-issue-rate", str(rate)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out)
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if "port" in event:
                return process, int(event["port"])
        time.sleep(0.1)
    process.kill()
    raise SystemExit("live: the simulator did not start")


def recorder(folder: Path, port: int, stocks: Sequence[str]) -> list[str | Path]:
    """The recorder's command."""
    config = folder / "recorder.toml"
    config.write_text(
        f'data_dir = "{folder / "data"}"\n[koscom]\nbase_url = "ws://127.0.0.1:{port}"\nmember_name = "Measurement"\n'
        '[schedule]\nmode = "always"\n[[feed]]\nname = "ISSUES"\nservice = "per_issue"\npath = "/ws/"\n'
        f'[[feed.register]]\npresets = ["tick10", "quote10"]\ncodes = {json.dumps(stocks)}\n'
    )
    return [PROGRAMS / "krx-recorder", "run", "--config", config]


def script(folder: Path, port: int, stocks: Sequence[str]) -> list[str | Path]:
    """The script's command."""
    here = Path(__file__).resolve().parent / "script.py"
    url = f"ws://127.0.0.1:{port}/ws/"
    return [sys.executable, here, "--url", url, "--codes", ",".join(stocks), "--out", folder / "data"]


PROGRAMS_MEASURED = {"krx-recorder": recorder, "websockets, orjson, pyarrow": script}


def turn(name: str, stocks: Sequence[str], rate: int, seconds: float) -> Cost:
    """One turn of a program, with an exchange of its own."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        exchange, port = simulator(rate, folder / "simulator.log")
        try:
            command = PROGRAMS_MEASURED[name](folder, port, stocks)
            with (folder / "program.log").open("wb") as log:
                program = subprocess.Popen(
                    command, stdout=log, stderr=log, env=os.environ | {"KRX_API_KEY": "measurement"}
                )
            time.sleep(seconds)
            program.send_signal(signal.SIGTERM)
            _, status, usage = os.wait4(program.pid, 0)
            program.returncode = os.waitstatus_to_exitcode(status)
            if program.returncode != 0:
                raise SystemExit(f"live: {name} failed:\n{(folder / 'program.log').read_text()}")
        finally:
            exchange.kill()
            exchange.wait()
        files = [path for path in (folder / "data").rglob("*.parquet") if path.name.startswith(("ticks-", "books-"))]
        rows = sum(ds.dataset(path).count_rows() for path in files)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, rows)


def report(costs: dict[str, list[Cost]], rate: int) -> str:
    """A Markdown table: medians, and how many times more than the recorder the script needs."""
    micros = {
        name: statistics.median(cost.cpu_seconds / cost.rows * 1e6 for cost in turns) for name, turns in costs.items()
    }
    memory = {name: statistics.median(cost.megabytes for cost in turns) for name, turns in costs.items()}
    ours = next(iter(costs))
    rows = ["| program | processor per message | of one core | times | memory | rows of a turn |"]
    rows.append("|---|---:|---:|---:|---:|---:|")
    for name, turns in costs.items():
        rows.append(
            f"| {name} | {micros[name]:.1f} µs | {micros[name] * rate / 1e4:.1f}% | {micros[name] / micros[ours]:.1f} "
            f"| {memory[name]:.0f} MB | {statistics.median(cost.rows for cost in turns):,.0f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    stocks = codes()
    costs: dict[str, list[Cost]] = {name: [] for name in PROGRAMS_MEASURED}
    for number in range(args.turns):
        for name, turns in costs.items():
            print(f"turn {number + 1} of {args.turns}: {name}", file=sys.stderr, flush=True)
            turns.append(turn(name, stocks, args.rate, args.seconds))
    print(f"{2 * len(stocks)} registrations, {args.rate:,} messages/s, {args.seconds:.0f} s a turn\n")
    print(report(costs, args.rate))


if __name__ == "__main__":
    main()
