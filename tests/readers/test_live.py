"""Four readers read the tree while it is written: none ever fails, and none ever sees fewer rows than before."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import issues
import ledger
import live_reader
import readers
from conftest import MARKETS, keep_clear_of_midnight, schemas
from processes import Recorder, Simulator, end, wait_until

RATE = 20_000
"""Records a second, both markets together: twice the average of a day after conflation."""

ISSUE_RATE = 2_500
"""Messages a second of the per-issue service: as many as let its day last as long."""

SECONDS = 20
DATASETS = ("trades", "indices", "derivative_books")
REGISTERED = """
[[feed]]
name = "ISSUES"
service = "per_issue"
path = "/ws/"

[[feed.register]]
presets = ["index"]
codes = ["001"]

[[feed.register]]
presets = ["quote10"]
codes = ["101N6000"]
instruments = "derivatives"
"""
"""Codes that every simulated exchange has."""

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
    arguments = ["--rate", str(RATE), "--trades-per-day", str(RATE * SECONDS), "--per-issue-rate", str(ISSUE_RATE)]
    simulator = Simulator(tmp_path / "ledger.jsonl", arguments)
    children: dict[str, subprocess.Popen[str]] = {}
    try:
        recorder = Recorder(tmp_path, simulator.url, REGISTERED)
        try:
            # With no file at all DuckDB and polars rightly report an error.
            wait_until(
                lambda: all(any((recorder.data_dir / dataset).rglob("*.parquet")) for dataset in DATASETS),
                FIRST_FILE_S_MAX,
                "each dataset has a first file",
                recorder.check_running,
            )
            for reader in readers.READERS:
                children[reader] = start_reader(reader, recorder.data_dir, stop, ",".join(DATASETS))
            simulator.wait_for_day(len(MARKETS) + 1, SECONDS * 4, recorder)
            recorder.stop()
        finally:
            end(recorder.process)
        stop.touch()
        outputs = {reader: child.communicate(timeout=60)[0] for reader, child in children.items()}
    finally:
        for child in children.values():
            end(child)
        simulator.stop()
    of_issues = issues.read(simulator.ledger, date, schemas()).tables
    expected = {"trades": ledger.read(simulator.ledger, date).trades, **of_issues}
    for reader, output in outputs.items():
        result = json.loads(output)
        assert result["error"] == "", f"{reader} after {result['readings']} readings: {result['error']}"
        for dataset in DATASETS:
            rows = result["rows"][dataset]
            assert len(set(rows)) >= READINGS_MIN, f"{reader} read {dataset} too seldom while it was written: {rows}"
            assert rows == sorted(rows), f"{reader} saw the count of {dataset} fall: {rows}"
            count = expected[dataset].num_rows
            assert rows[-1] == count, f"{reader} sees {rows[-1]} of {count} rows of {dataset}"
