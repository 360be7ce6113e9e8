"""Recordings of simulated days, and what they must hold."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import days
import ledger
from processes import Recorder, Simulator, end

RECORDS = 300_000
MARKETS = ("KOSDAQ", "KOSPI")
DAY_S_MAX = 120.0
MIDNIGHT_S = 180
"""A recording that is begun this long before midnight in Korea, in seconds, could end on another date."""

FAULTS = (
    "garbage@every:200:badrecord",
    "garbage@every:350:text",
    "garbage@every:500:object",
)


@dataclass
class Recording:
    """A data directory, and the rows that it must hold."""

    data_dir: Path
    expected: ledger.Expected


def keep_clear_of_midnight() -> None:
    """Waits until a recording of a few minutes stays on one trading date; at most `MIDNIGHT_S`."""
    now = dt.datetime.now(ledger.KST)
    midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), ledger.KST)
    left_s = (midnight - now).total_seconds()
    if left_s < MIDNIGHT_S:
        time.sleep(left_s + 1)


def sealed_rows(data_dir: Path) -> int:
    """Rows of all committed files, by their footers."""
    datasets = ("trades", "quarantine")
    files = (path for dataset in datasets for path in (data_dir / dataset).glob("**/*.parquet"))
    return sum(pq.read_metadata(path).num_rows for path in files)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """A whole day of both markets with bad messages in it, recorded as fast as it can be sent."""
    keep_clear_of_midnight()
    folder = tmp_path_factory.mktemp("recording")
    date = dt.datetime.now(ledger.KST).date()
    arguments = ["--speed", "max", "--seed", "7", "--trades-per-day", str(RECORDS)]
    for fault in FAULTS:
        arguments += ["--fault", fault]
    simulator = Simulator(folder / "ledger.jsonl", arguments)
    try:
        recorder = Recorder(folder, simulator.url)
        try:
            simulator.wait_for_day(len(MARKETS), DAY_S_MAX, recorder)
            recorder.stop()
        finally:
            end(recorder.process)
    finally:
        simulator.stop()
    yield Recording(recorder.data_dir, ledger.read(simulator.ledger, date))


@pytest.fixture(scope="session")
def twenty_days(tmp_path_factory: pytest.TempPathFactory) -> days.Days:
    """Twenty trading days, in files as they are while recording."""
    return days.make(tmp_path_factory.mktemp("days"))
