#!/usr/bin/env python3
"""What it costs to record at the pace of a market: the recorder beside the scripts of `script.py` and a bare program in Rust.

    live.py [--seconds 30] [--turns 3] [--case NAME …]        `make bench-live` makes what it needs

The simulated exchange serves the programs alike, which take turns:

    idle          both full-market feeds while nothing is traded: heartbeats
    trades-2000   both feeds, 2,000 records a second together
    trades-8300   the same at 8,300: a trade every 120 µs, as on the busiest day
    issues-5000   200 registrations (`tick10` and `quote10` of the 100 busiest stocks), 5,000 messages a second

Each turn lasts so many seconds, which begin 3 s after all connections are open. Processor time is what the program takes in
them, as a part of one core (the kernel counts in steps of 10 ms); wake-ups are how often its threads gave up the processor;
memory is the most that was resident. If `strace` is there, it counts system calls in a turn of its own. At the end the
program is asked to stop, and must have about as many rows as were sent. At this pace the other two write their
first Parquet file of trades at the end, which is not measured; whether a time partition of the recorder ends within a turn is a matter
of chance.

After that comes the journal alone: the time until a message is written, and until it is on disk (`krx-bench latency`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
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
FRAMES = ROOT / "target" / "bench" / "live-frames.jsonl"
START_S_MAX = 60.0
STOP_S_MAX = 60.0
SETTLED_S = 3.0
"""From when a program is connected until it is measured."""

MARKETS = {"KOSPI": "/ws_ksp", "KOSDAQ": "/ws_kdq"}


@dataclass(frozen=True)
class Case:
    """What is recorded."""

    name: str
    exchange: tuple[str, ...]
    per_issue: bool = False
    rate: int = 0
    """Records or messages a second, 0 for none."""


CASES = (
    Case("idle", ("--start", "08:30", "--trades-per-day", "1")),
    Case("trades-2000", ("--start", "09:00", "--repeat", "--rate", "2000"), rate=2000),
    Case("trades-8300", ("--start", "09:00", "--repeat", "--rate", "8300"), rate=8300),
    Case("issues-5000", ("--start", "09:00", "--repeat", "--per-issue-rate", "5000"), per_issue=True, rate=5000),
)


@dataclass
class Cost:
    """What one turn of a program took."""

    percent: float
    """Of one core."""

    wake_ups: float
    """A second."""

    megabytes: float
    calls: float | None = None
    """System calls a second."""


def codes() -> list[str]:
    """The stocks that the simulator's `--pushes` are of."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pushes.jsonl")
        command = [PROGRAMS / "krx-simulator", "--write-frames", file, "--pushes", "quote10", "--records", "20000"]
        subprocess.run(command, check=True, capture_output=True)
        return sorted({json.loads(line)["params"]["isuSrtCd"] for line in file.open()})


def simulator(case: Case, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """An exchange, and its URL."""
    command = [PROGRAMS / "krx-simulator", "--listen", "127.0.0.1:0", "--json", *case.exchange]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out)
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        # The last line may be half written.
        for line in log.read_text().split("\n")[:-1]:
            event = json.loads(line)
            if "url" in event:
                return process, event["url"]
        time.sleep(0.1)
    process.kill()
    raise SystemExit("live: the simulator did not start")


def recorder(case: Case, folder: Path, url: str, stocks: Sequence[str]) -> list[str | Path]:
    """The recorder's command."""
    text = f'data_dir = "{folder / "data"}"\n[koscom]\nbase_url = "{url}"\nmember_name = "Measurement"\n'
    text += '[schedule]\nmode = "always"\n'
    if case.per_issue:
        text += '[[feed]]\nname = "ISSUES"\nservice = "per_issue"\npath = "/ws/"\n'
        text += f'[[feed.register]]\npresets = ["tick10", "quote10"]\ncodes = {json.dumps(stocks)}\n'
    else:
        text += "".join(f'[[feed]]\nmarket = "{market}"\npath = "{path}"\n' for market, path in MARKETS.items())
    config = folder / "recorder.toml"
    config.write_text(text)
    return [PROGRAMS / "krx-recorder", "run", "--config", config]


def options(case: Case, folder: Path, url: str, stocks: Sequence[str]) -> list[str | Path]:
    """The options that the script and the bare program share."""
    out: list[str | Path] = ["--out", folder / "data"]
    if case.per_issue:
        return [*out, "--url", f"{url}/ws/", "--codes", ",".join(stocks)]
    return out + [argument for path in MARKETS.values() for argument in ("--url", url + path)]


def script(case: Case, folder: Path, url: str, stocks: Sequence[str]) -> list[str | Path]:
    """The script's command."""
    return [sys.executable, Path(__file__).resolve().parent / "script.py", *options(case, folder, url, stocks)]


def bare(case: Case, folder: Path, url: str, stocks: Sequence[str]) -> list[str | Path]:
    """The command of the program in Rust."""
    return [PROGRAMS / "krx-bench", "bare", *options(case, folder, url, stocks)]


PROGRAMS_MEASURED = {"krx-recorder": recorder, "bare Rust": bare, "Python script": script}


def used(pid: int) -> tuple[float, int]:
    """Seconds on a processor, and how often threads that are still there gave it up by themselves."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    switches = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                switches += int(line.split()[1])
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), switches


def connections(port: int) -> int:
    """Open connections to a loopback port, as its clients have them."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(remote.rpartition(":")[2], 16) == port and state == "01" for _, _, remote, state, *_ in lines)


def wait_for_connections(url: str, count: int) -> None:
    """Waits until a program is connected."""
    port, until = int(url.rpartition(":")[2]), time.monotonic() + START_S_MAX
    while connections(port) < count:
        if time.monotonic() > until:
            raise SystemExit("live: the program does not connect")
        time.sleep(0.05)


def rows_in(data: Path) -> int:
    """Rows of trades, ticks and books in files."""
    paths = (path for path in data.rglob("*.parquet") if path.name.split("-")[0] in ("trades", "ticks", "books"))
    return sum(ds.dataset(path).count_rows() for path in paths)


def turn(case: Case, name: str, stocks: Sequence[str], seconds: float, traced: bool) -> Cost:
    """One turn of a program, with an exchange of its own."""
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as text:
        folder = Path(text)
        exchange, url = simulator(case, folder / "simulator.log")
        try:
            with (folder / "program.log").open("wb") as log:
                program = subprocess.Popen(
                    PROGRAMS_MEASURED[name](case, folder, url, stocks),
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"KRX_API_KEY": "measurement"},
                )
            try:
                wait_for_connections(url, 1 if case.per_issue else len(MARKETS))
                time.sleep(SETTLED_S)
                cost = measured(program.pid, seconds, traced)
                program.send_signal(signal.SIGTERM)
                status = program.wait(STOP_S_MAX)
            finally:
                program.kill()
            if status != 0:
                raise SystemExit(f"live: {name} failed:\n{(folder / 'program.log').read_text()}")
        finally:
            exchange.kill()
            exchange.wait()
        rows, expected = rows_in(folder / "data"), case.rate * (seconds + SETTLED_S)
        # Registering takes a moment, a snapshot is a row, and strace slows things down.
        if not traced and abs(rows - expected) > expected / 3:
            raise SystemExit(f"live: {name} has {rows:,} rows of {case.name}, and not about {expected:,.0f}")
    return cost


def measured(pid: int, seconds: float, traced: bool) -> Cost:
    """What a process takes in so many seconds."""
    began, (cpu, wake_ups) = time.monotonic(), used(pid)
    calls = None
    if traced:
        with tempfile.NamedTemporaryFile() as summary:
            command = ["strace", "-f", "-c", "-o", summary.name, "-p", str(pid)]
            tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            time.sleep(seconds)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(STOP_S_MAX)
            calls = int(Path(summary.name).read_text().splitlines()[-1].split()[3]) / seconds
    else:
        time.sleep(seconds)
    lasted, (cpu_end, wake_ups_end) = time.monotonic() - began, used(pid)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    # Not what `wait4` tells: that counts what this program had when it made the other.
    (kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return Cost((cpu_end - cpu) / lasted * 100, (wake_ups_end - wake_ups) / lasted, kilobytes * 1024 / 1e6, calls)


def report(case: Case, costs: dict[str, list[Cost]], calls: dict[str, float | None]) -> list[str]:
    """Lines of a Markdown table: medians."""
    lines = []
    for name, turns in costs.items():
        percent = statistics.median(cost.percent for cost in turns)
        wake_ups = statistics.median(cost.wake_ups for cost in turns)
        memory = statistics.median(cost.megabytes for cost in turns)
        counted = calls.get(name)
        of_calls = "" if counted is None else f"{counted:,.0f}"
        lines.append(f"| {case.name} | {name} | {percent:.2f}% | {wake_ups:,.0f} | {of_calls} | {memory:.0f} MB |")
    return lines


def latencies(seconds: float) -> list[str]:
    """Lines of a Markdown table: how soon a message is written and on disk."""
    command = [PROGRAMS / "krx-simulator", "--write-frames", FRAMES, "--records", "100000"]
    subprocess.run(command, check=True, capture_output=True)
    lines = []
    # A feed has half of the records, of which a message has up to 50; the third is for those who want it soon.
    for rate, interval in ((23, 50), (83, 50), (83, 1)):
        options = ["--rate", str(rate), "--seconds", str(seconds), "--sync-interval-ms", str(interval)]
        done = subprocess.run(
            [PROGRAMS / "krx-bench", "latency", FRAMES, *options], check=True, capture_output=True, cwd=ROOT / "target"
        )
        found = json.loads(done.stdout)
        written, durable = found["written_us"], found["durable_us"]
        lines.append(
            f"| {rate} | {interval} ms | {written['p50'] / 1e3:.2f} | {written['p99'] / 1e3:.2f} "
            f"| {durable['p50'] / 1e3:.1f} | {durable['p90'] / 1e3:.1f} | {durable['p99'] / 1e3:.1f} |"
        )
    return lines


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    args = parser.parse_args()
    FRAMES.parent.mkdir(parents=True, exist_ok=True)
    stocks, can_trace = codes(), shutil.which("strace") is not None
    table = ["| | program | of one core | wake-ups/s | system calls/s | memory |", "|---|---|---:|---:|---:|---:|"]
    for case in (case for case in CASES if args.case is None or case.name in args.case):
        costs: dict[str, list[Cost]] = {name: [] for name in PROGRAMS_MEASURED}
        for number in range(args.turns):
            for name, turns in costs.items():
                print(f"{case.name}, turn {number + 1} of {args.turns}: {name}", file=sys.stderr, flush=True)
                turns.append(turn(case, name, stocks, args.seconds, traced=False))
        calls = {}
        for name in costs if can_trace else ():
            print(f"{case.name}, system calls: {name}", file=sys.stderr, flush=True)
            calls[name] = turn(case, name, stocks, min(args.seconds, 10.0), traced=True).calls
        table += report(case, costs, calls)
    print("\n".join(table))
    print("\n| messages/s | `sync_interval` | written, ms: median | 99% | on disk, ms: median | 90% | 99% |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(latencies(args.seconds)))


if __name__ == "__main__":
    main()
