"""Files and tail together have each record once at every instant, while a recorder commits every second, its day is made one
file again and again, and it is killed and starts again: what was shown is what the files have in the end."""

from __future__ import annotations

import datetime as dt
import http.client
import os
import re
import signal
import statistics
import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.ipc

from conftest import MARKETS, keep_clear_of_midnight
from processes import Recorder, Simulator, binary, end, free_port, started, wait_until

SECONDS = float(os.environ.get("KRX_TAIL_SECONDS", "20"))
"""How long it is read; `KRX_TAIL_SECONDS=600` for ten minutes."""

RATE = 20_000
KILLS_S = 8.0
"""How often the recorder is killed."""

SEALS_S = 3.0
"""How long after one seal of the day the next one begins: what came since is sealed with the rest."""

OLD_S_MAX = float(os.environ.get("KRX_TAIL_OLD_S", "30"))
"""How old the newest frame may be while a recorder runs. On a quiet machine half a second is enough."""

LISTINGS_MAX = 20
"""How often files are listed again because others have come."""

TOLD = re.compile(r"^(\w+): frames (\d+) to (\d+) of [\d-]+, the last received at (\S+)$", re.MULTILINE)


def files(data_dir: Path, market: str) -> list[tuple[int, int]]:
    """The frames of each file, in order."""
    names = [path.stem for path in data_dir.glob(f"trades/date=*/market={market}/*.parquet")]
    return sorted((int(name.split("-")[-2]), int(name.split("-")[-1])) for name in names)


class Seals:
    """Seals the day beside the recorder, again and again."""

    def __init__(self, data_dir: Path) -> None:
        date = next(data_dir.glob("trades/date=*")).name.removeprefix("date=")
        self.command = [binary("KRX_RECORDER", "krx-recorder"), "seal", date, "--data-dir", data_dir, "--json"]
        self.process: subprocess.Popen[str] | None = None
        self.next = time.monotonic()
        self.sealed = 0

    def look(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            self.end()
            self.next = time.monotonic() + SEALS_S
        elif self.process is None and time.monotonic() > self.next:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def end(self) -> None:
        """Waits for the one under way. It may be in vain, when files are added all the time; it is never half done."""
        if self.process is not None:
            said, _ = self.process.communicate(timeout=120)
            self.sealed += said.count('"outcome": "sealed"') + said.count('"outcome":"sealed"')
            self.process = None


def test_files_and_tail_have_each_record_once(tmp_path: Path) -> None:
    keep_clear_of_midnight()
    port = free_port()
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--rate", str(RATE), "--repeat"])
    shown: list[tuple[str, int, int, Counter[int]]] = []
    ages: list[float] = []
    http_ages: list[float] = []
    kills, recorder = 0, None
    try:
        first = Recorder(tmp_path, simulator.url, port=port)
        recorder, data_dir = first.process, first.data_dir
        wait_until(lambda: all(files(data_dir, market) for market in MARKETS), 60, "there are files", first.check_running)
        seals = Seals(data_dir)
        until, next_kill = time.monotonic() + SECONDS, time.monotonic() + KILLS_S
        while time.monotonic() < until:
            if time.monotonic() > next_kill:
                recorder.send_signal(signal.SIGKILL)
                recorder.wait()
                kills += 1
                next_kill = time.monotonic() + KILLS_S
            elif recorder.poll() is not None:
                # After a kill it is read at rest, and then goes on.
                look(data_dir, port, shown, [])
                recorder = started(tmp_path)
            seals.look()
            look(data_dir, port, shown, ages)
            look_over_http(data_dir, port, shown, http_ages)
        recorder.send_signal(signal.SIGTERM)
        assert recorder.wait(60) == 0
        seals.end()
    finally:
        if recorder is not None:
            end(recorder)
        simulator.stop()
    assert len(shown) > 4 and ages
    # What each tail had of each frame is what the files have.
    for market in MARKETS:
        rows = duckdb.sql(f"SELECT frame, count(*) FROM '{data_dir}/trades/*/market={market}/*.parquet' GROUP BY frame")
        in_files = dict(rows.fetchall())
        for _, first_frame, last_frame, counts in (one for one in shown if one[0] == market):
            expected = {frame: count for frame, count in in_files.items() if first_frame <= frame <= last_frame}
            assert counts == expected, (market, first_frame, last_frame)
    assert seals.sealed > 0
    print(f"{len(shown)} tails, {kills} kills, {seals.sealed} seals; the newest frame was " + ", ".join(
        f"{statistics.median(of) * 1000:.0f} ms old (median of {how}), {sorted(of)[int(len(of) * 0.99)] * 1000:.0f} ms (p99)"
        for how, of in (("the command", ages), ("HTTP", http_ages))
    ))  # fmt: skip
    assert statistics.median(ages) < OLD_S_MAX and statistics.median(http_ages) < OLD_S_MAX


def look(data_dir: Path, port: int, shown: list[tuple[str, int, int, Counter[int]]], ages: list[float]) -> None:
    """Lists the files, and reads the tail behind them."""
    for market in MARKETS:
        listed = files(data_dir, market)
        # Heartbeats are frames, too: the files follow each other without a hole.
        assert listed[0][0] == 1 and all(one[1] + 1 == two[0] for one, two in zip(listed, listed[1:]))
        command = [binary("KRX_RECORDER", "krx-recorder"), "tail", market, "--data-dir", data_dir, "--format", "csv"]
        done = subprocess.run([*command, "--listen", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=60)
        if done.returncode == 69:
            continue  # It is starting, and does not answer yet.
        assert done.returncode == 0, done.stderr
        told = TOLD.search(done.stderr)
        if told is None or "have gone to files meanwhile" in done.stderr:
            continue
        first, last = int(told[2]), int(told[3])
        # It begins where the files ended that were there when it began: those that were listed, or newer ones.
        now = files(data_dir, market)
        assert listed[-1][1] < first <= now[-1][1] + 1 or last <= listed[-1][1], (first, last, listed[-1], now[-1])
        lines = done.stdout.splitlines()
        place = lines[0].split(",").index("frame")
        shown.append((market, first, last, Counter(int(line.split(",")[place]) for line in lines[1:])))
        if "no recorder is running" not in done.stderr:
            ages.append(time.time() - dt.datetime.fromisoformat(told[4]).timestamp())


def look_over_http(data_dir: Path, port: int, shown: list[tuple[str, int, int, Counter[int]]], ages: list[float]) -> None:
    """Lists the files, and asks the recorder for what is after them; again, when files have come meanwhile."""
    for market in MARKETS:
        for _ in range(LISTINGS_MAX):
            listed = files(data_dir, market)
            assert listed[0][0] == 1 and all(one[1] + 1 == two[0] for one, two in zip(listed, listed[1:]))
            url = f"http://127.0.0.1:{port}/tail/trades.arrows?feed={market}&after={listed[-1][1]}"
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    table = pa.ipc.open_stream(answer.read()).read_all()
            except (OSError, http.client.HTTPException, pa.ArrowInvalid):
                # It was killed, or is starting; or what it began to send has gone to files.
                break
            said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
            first, last = int(said["krx.first_frame"]), int(said["krx.last_frame"])
            if first > listed[-1][1] + 1:
                continue
            assert first == listed[-1][1] + 1
            shown.append((market, first, last, Counter(table["frame"].to_pylist())))
            if first <= last:
                ages.append(time.time() - int(said["krx.last_recv"]) / 1e6)
            break
