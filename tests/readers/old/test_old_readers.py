"""Readers from years ago read everything that is recorded, and read it correctly (docs/adr/0034).

`make test-old-readers` installs them. Each runs in its own environment (read.py), and what it reads is compared with what the
newest pyarrow reads; that is compared with the simulator's ledger.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

import days
import fields
import ledger
import readers
from conftest import (
    DAY_S_MAX,
    FAULTS,
    MARKETS,
    IssueRecording,
    keep_clear_of_midnight,
    record_issues,
    seal_every_date,
)
from processes import ROOT, Recorder, Simulator, end
from test_questions import ANSWERS
from test_values import as_expected, first_difference

sys.path.insert(0, str(Path(__file__).parent))

import read  # noqa: E402

RECORDS = 20_000
RECORDS_A_DAY, RECORDS_LAST_DAY = 500, 20_000
READ_S_MAX = 300.0
ISSUES = 100
TWENTY = ("twenty days", "twenty days, sealed")
ASKED = {
    "recorded": ("trades", "quarantine", "coverage"),
    "a day": ("trades", "coverage"),
    "issues": (*fields.DATASETS, "registrations", "clock"),
}
"""What is read of a recording of the full-market service, of a made-up day, and of a recording of both services."""
DERIVED = ("daily", "daily_derivatives", "bars_1m")
"""What is made of the sealed recording of both services."""
ENVIRONMENTS = ROOT / "target" / "old-readers"


@dataclass(frozen=True)
class Set:
    """A line of sets.txt."""

    name: str
    readers: tuple[str, ...]


def sets() -> list[Set]:
    """Those that KRX_OLD_READERS names; without it all."""
    lines = Path(__file__).with_name("sets.txt").read_text().splitlines()
    listed = [line.split()[:2] for line in lines if not line.startswith("#")]
    wanted = os.environ.get("KRX_OLD_READERS", " ".join(name for name, _ in listed)).split()
    return [Set(name, tuple(of.split(","))) for name, of in listed if name in wanted]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ledger.Expected]]:
    """A day of both markets with bad messages in it, as the recorder leaves it when it is stopped."""
    keep_clear_of_midnight()
    folder = tmp_path_factory.mktemp("recorded")
    date = dt.datetime.now(ledger.KST).date()
    arguments = ["--speed", "max", "--seed", "11", "--trades-per-day", str(RECORDS)]
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
    yield recorder.data_dir, ledger.read(simulator.ledger, date)


@pytest.fixture(scope="session")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> days.Days:
    """Twenty days, with hours without a record and a gap in the last one."""
    return days.make(tmp_path_factory.mktemp("twenty"), RECORDS_A_DAY, RECORDS_LAST_DAY)


@pytest.fixture(scope="session")
def issue_recording(tmp_path_factory: pytest.TempPathFactory) -> IssueRecording:
    """A day of both services, as it was recorded and sealed."""
    return record_issues(tmp_path_factory.mktemp("issues"))


@pytest.fixture(scope="session")
def dirs(
    recorded: tuple[Path, ledger.Expected],
    twenty: days.Days,
    issue_recording: IssueRecording,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """What is read: each as it is while recording, and sealed."""
    folder = tmp_path_factory.mktemp("dirs")
    found = {"recorded": recorded[0], "twenty days": twenty.data_dir}
    for name, data_dir in list(found.items()):
        sealed = found[f"{name}, sealed"] = folder / f"{name}-sealed"
        shutil.copytree(data_dir, sealed)
        seal_every_date(sealed)
    # Every value of twenty days would take each reader a minute.
    for name, dataset in ((name, dataset) for name in TWENTY for dataset in ("trades", "coverage")):
        target = found[name.replace("twenty days", "a day")] = folder / name.replace("twenty days", "day")
        shutil.copytree(found[name] / dataset / f"date={days.LAST}", target / dataset / f"date={days.LAST}")
    return found | {"issues": issue_recording.data_dirs["recorded"], "issues, sealed": issue_recording.data_dirs["sealed"]}


@pytest.fixture(scope="session")
def task(dirs: dict[str, Path], twenty: days.Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a reader is asked, and the answers, as a file for read.py."""
    asked = [(name, dataset) for name in dirs for dataset in ASKED.get(name.removesuffix(", sealed"), ())]
    asked += [("issues, sealed", dataset) for dataset in DERIVED]
    (issues_date,) = (path.name.removeprefix("date=") for path in (dirs["issues"] / "ticks").iterdir())
    queries = [(name, query.format(last=days.LAST)) for name in TWENTY for query in read.VIEWS.values()]
    queries += [
        (name, query.format(last=issues_date))
        for name in ("issues", "issues, sealed")
        for query in read.ISSUE_VIEWS.values()
    ]
    before = Path.cwd()
    try:
        views = {(name, query): (dirs[name], read.ask_view(dirs[name], query)) for name, query in queries}
    finally:
        os.chdir(before)
    path = tmp_path_factory.mktemp("task") / "task"
    path.write_bytes(
        pickle.dumps(
            {
                "datasets": {at: (dirs[at[0]], read.pyarrow_columns(dirs[at[0]], at[1])) for at in asked},
                "columns": {},
                "days": {name: dirs[name] for name in TWENTY},
                "answers": {name: [in_micros(row) for row in of(twenty)] for name, (of, _) in ANSWERS.items()},
                "views": views,
                "issue": twenty.issues[3],
                "issues": twenty.issues[:ISSUES],
            }
        )
    )
    return path


def in_micros(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of an answer. Its times are the numbers of thirteen digits."""
    return tuple(value * 1000 if isinstance(value, int) and value > 10**12 else value for value in row)


def test_what_is_compared_with_is_what_was_sent(
    recorded: tuple[Path, ledger.Expected],
    twenty: days.Days,
    issue_recording: IssueRecording,
    dirs: dict[str, Path],
) -> None:
    of_issues = {dataset: issue_recording.expected.tables[dataset] for dataset in fields.DATASETS}
    sent = {"recorded": {"trades": recorded[1].trades, "quarantine": recorded[1].quarantine}, "issues": of_issues}
    for name in (f"{name}{end}" for name in sent for end in ("", ", sealed")):
        for dataset, expected in sent[name.removesuffix(", sealed")].items():
            found = as_expected(readers.pyarrow_table(dirs[name], dataset), expected.schema)
            assert found.num_rows == expected.num_rows > 0
            assert first_difference(found, expected) == ""
    place = ["market", "frame", "item"]
    made_up = [row for row in twenty.trades if row["date"] == days.LAST]
    for name in ("a day", "a day, sealed"):
        table = readers.pyarrow_table(dirs[name], "trades").filter(pc.field("kind") == "trade")
        table = table.sort_by([(key, "ascending") for key in place])
        found = table.select([*place, "code", "price", "volume", "trade_time"]).to_pylist()
        assert found == [{key: row[key] for key in found[0]} for row in made_up]


def test_what_is_derived_has_values_of_every_column(dirs: dict[str, Path]) -> None:
    """Or the comparison would prove little."""
    for dataset in DERIVED:
        columns = read.pyarrow_columns(dirs["issues, sealed"], dataset)
        assert set(columns) == {*read.COLUMN_NAMES[dataset], "date"}
        # Derivatives are of no market, and have no closing signals in the simulator.
        empty = {name for name, values in columns.items() if all(value is None for value in values)}
        assert empty <= ({"market", "official_close"} if dataset == "daily_derivatives" else set()), (dataset, empty)


def test_receive_times_are_far_apart(dirs: dict[str, Path]) -> None:
    """Further than fastparquet's deltas can be, or the comparison would prove little."""
    for name in ("a day", "a day, sealed"):
        times = read.pyarrow_columns(dirs[name], "trades")["recv_ts"]
        assert max(abs(two - one) for one, two in zip(times, times[1:])) > 1 << 28


EACH_DATASET = [dataset for datasets in ASKED.values() for dataset in datasets]
"""Each of them is read as it was recorded and sealed."""

EACH = [pytest.param(one, reader, id=f"{one.name}-{reader}") for one in sets() for reader in one.readers]


@pytest.mark.parametrize(("of", "reader"), EACH)
def test_an_older_reader_reads_everything(of: Set, reader: str, task: Path, tmp_path: Path) -> None:
    python = ENVIRONMENTS / of.name / "bin" / "python"
    assert python.exists(), "tests/tools/old-readers.sh makes it"
    command = [python, Path(read.__file__), reader, task]
    done = subprocess.run(command, capture_output=True, text=True, timeout=READ_S_MAX, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(done.stdout.splitlines()[-1])
    answers = len(TWENTY) * len(ANSWERS) if reader in read.ASK else 0
    # What is asked of the issues is asked of them sealed, too.
    answers += len(TWENTY) * len(read.VIEWS) + 2 * len(read.ISSUE_VIEWS) if reader == "duckdb" else 0
    asked = (*EACH_DATASET, *EACH_DATASET, *DERIVED)
    datasets = sum(len(read.COLUMN_NAMES[dataset]) if reader == "fastparquet" else 1 for dataset in asked)
    assert len(outcomes) == datasets + answers
    # What fastparquet cannot read must be an error.
    allowed = ("right", "error") if reader == "fastparquet" else ("right",)
    bad = [f"{one['what']}: {one['outcome']}: {one['detail']}" for one in outcomes if one["outcome"] not in allowed]
    assert not bad, "\n" + "\n".join(bad)
    errors = sum(one["outcome"] == "error" for one in outcomes)
    print(f"{of.name}, {reader}: {len(outcomes) - errors} right, {errors} with an error")
