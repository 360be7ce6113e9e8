"""Four readers read the tree while it is written: none ever fails, and none ever sees fewer rows than before."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import ledger
import live_reader
import readers
from conftest import MARKETS, keep_clear_of_midnight, sealed_rows
from processes import Recorder, Simulator, end, wait_until

RATE = 20_000
"""Records a second, both markets together: twice the average of a day after conflation."""

SECONDS = 20
FIRST_FILE_S_MAX = 30.0
READINGS_MIN = 5


def start_reader(reader: str, data_dir: Path, stop: Path, *more: str) -> subprocess.Popen[str]:
    """A reader in its own process."""
    command = [sys.executable, live_reader.__file__, reader, str(data_dir), str(stop), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_readers_never_fail_and_counts_never_fall(tmp_path: Path) -> None:
    keep_clear_of_midnight()
    date = dt.datetime.now(ledger.KST).date()
    stop = tmp_path / "stop"
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--rate", str(RATE), "--trades-per-day", str(RATE * SECONDS)])
    children: dict[str, subprocess.Popen[str]] = {}
    try:
        recorder = Recorder(tmp_path, simulator.url)
        try:
            # With no file at all DuckDB and polars rightly report an error.
            wait_until(
                lambda: sealed_rows(recorder.data_dir) > 0,
                FIRST_FILE_S_MAX,
                "a first file is committed",
                recorder.check_running,
            )
            for reader in readers.READERS:
                children[reader] = start_reader(reader, recorder.data_dir, stop)
            simulator.wait_for_day(len(MARKETS), SECONDS * 4, recorder)
            recorder.stop()
        finally:
            end(recorder.process)
        stop.touch()
        outputs = {reader: child.communicate(timeout=60)[0] for reader, child in children.items()}
    finally:
        for child in children.values():
            end(child)
        simulator.stop()
    expected = ledger.read(simulator.ledger, date).trades.num_rows
    for reader, output in outputs.items():
        result = json.loads(output)
        assert result["error"] == "", f"{reader} after {result['readings']} readings: {result['error']}"
        rows = result["rows"]
        assert len(set(rows)) >= READINGS_MIN, f"{reader} read too seldom while it was written: {rows}"
        assert rows == sorted(rows), f"{reader} saw the count fall: {rows}"
        assert rows[-1] == expected, f"{reader} sees {rows[-1]} of {expected} trades"
