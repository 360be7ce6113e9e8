"""Recordings of simulated days, and what they must hold."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import days
import fields
import issues
import krxdata_source  # noqa: F401
import ledger
from processes import READ_S_MAX, Recorder, Simulator, binary, end, wait_until

RECORDS = 300_000
ISSUE_RECORDS, ISSUE_RATE = 1_000, 10_000
"""Of days of both services: trades of three issues, and messages a second of the per-issue service."""

ISSUE_ROWS_MIN = 200
"""Of each dataset, or the tests would prove little."""

MARKETS = ("KOSDAQ", "KOSPI")
DAY_S_MAX = 120.0
COMMAND_S_MAX = 60.0
MIDNIGHT_S = 180
"""A recording that is begun this long before midnight in Korea, in seconds, could end on another date."""

FAULTS = (
    "garbage@every:200:badrecord",
    "garbage@every:350:text",
    "garbage@every:500:object",
)

ISSUE_FAULTS = (
    "garbage@every:211:text",
    "garbage@every:227:object",
    "unregistered@every:97",
    "array@every:50",
    "joined@every:70:5",
)


@dataclass
class Recording:
    """A data directory, and the rows that it must hold."""

    data_dir: Path
    expected: ledger.Expected


@dataclass
class IssueRecording:
    """A day of both services in data directories, as it was recorded and sealed, and the rows that both must hold."""

    data_dirs: dict[str, Path]
    """`recorded` and `sealed`."""

    expected: issues.Expected
    markets: ledger.Expected
    schemas: dict[str, pa.Schema]
    """Each dataset's, by `schemas`."""


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


def seal_every_date(data_dir: Path) -> None:
    """Makes one file of each date and partition, whatever the time of day, and what is derived of them, as of trading days."""
    dates = sorted({path.name.removeprefix("date=") for path in data_dir.glob("*/date=*")})
    folder = data_dir.parent
    calendar, config = folder / f"{data_dir.name}-calendar.toml", folder / f"{data_dir.name}-seal.toml"
    calendar.write_text("".join(f'[[day]]\ndate = "{date}"\ntrading = true\n' for date in dates))
    config.write_text(f'data_dir = "{data_dir}"\n[schedule]\ncalendar_file = "{calendar}"\n[seal]\nbars = "1m"\n')
    for date in dates:
        command = [binary("KRX_RECORDER", "krx-recorder"), "seal", date, "--config", str(config)]
        subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_S_MAX)
    for path in (path for dataset in ("trades", *fields.DATASETS) for path in data_dir.glob(f"{dataset}/*/*")):
        assert len(list(path.iterdir())) == 1, f"{path} is not sealed"


def schemas() -> dict[str, pa.Schema]:
    """Each dataset's by `krx-recorder schema`, without the columns in the path."""
    command = [binary("KRX_RECORDER", "krx-recorder"), "schema", "--json"]
    described = subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_S_MAX).stdout
    return {one["dataset"]: issues.schema_of(one) for one in json.loads(described)}


def has_enough(data_dir: Path) -> bool:
    """Whether all per-issue datasets have committed rows enough, some of them from after the close."""
    for dataset in fields.DATASETS:
        paths = list((data_dir / dataset).rglob("*.parquet"))
        if sum(pq.read_metadata(path).num_rows for path in paths) < ISSUE_ROWS_MIN:
            return False
    paths = (data_dir / "ticks").rglob("*.parquet")
    return any("regular_close" in pq.read_table(path, columns=["kind"])["kind"].to_pylist() for path in paths)


def record_issues(folder: Path) -> IssueRecording:
    """Records both services, with bad messages in the per-issue one, and seals a copy of what is recorded.

    The simulated days are short, and follow each other: it takes some seconds until everything is registered.
    """
    keep_clear_of_midnight()
    date = dt.datetime.now(ledger.KST).date()
    listed = folder / "issues.csv"
    listed.write_text(issues.LISTED)
    arguments = ["--issues", str(listed), "--trades-per-day", str(ISSUE_RECORDS), "--seed", "5", "--repeat"]
    arguments += ["--rate", str(ISSUE_RATE // 2), "--per-issue-rate", str(ISSUE_RATE)]
    for fault in ISSUE_FAULTS:
        arguments += ["--fault", f"{fault},service=per_issue"]
    simulator = Simulator(folder / "ledger.jsonl", arguments)
    try:
        recorder = Recorder(folder, simulator.url, issues.tables())
        try:
            data_dir, feeds = recorder.data_dir, len(MARKETS) + 1
            wait_until(lambda: has_enough(data_dir), DAY_S_MAX, "there are rows enough", recorder.check_running)
            # What it has sent is on its way: the recorder reads it before it notices.
            simulator.stop()
            wait_until(lambda: recorder.disconnects() >= feeds, READ_S_MAX, "all is read", recorder.check_running)
            recorder.stop()
        finally:
            end(recorder.process)
    finally:
        simulator.stop()
    described, sealed = schemas(), folder / "sealed"
    shutil.copytree(recorder.data_dir, sealed)
    seal_every_date(sealed)
    return IssueRecording(
        {"recorded": recorder.data_dir, "sealed": sealed},
        issues.read(simulator.ledger, date, described),
        ledger.read(simulator.ledger, date),
        described,
    )


@pytest.fixture(scope="session")
def issue_recording(tmp_path_factory: pytest.TempPathFactory) -> IssueRecording:
    """A day of both services with bad messages in it, as it was recorded and sealed."""
    return record_issues(tmp_path_factory.mktemp("issues"))


@pytest.fixture(scope="session")
def twenty_days(tmp_path_factory: pytest.TempPathFactory) -> days.Days:
    """Twenty trading days, in files as they are while recording."""
    return days.make(tmp_path_factory.mktemp("days"))
