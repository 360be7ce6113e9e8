"""Days are made one file each while four readers read in loops: every answer has the same count."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import days
import live_reader
import pytest
import readers
from processes import binary, end, wait_until
from test_live import start_reader

READINGS_MIN = 5


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> days.Days:
    """Twenty days, in several files each."""
    return days.make(tmp_path_factory.mktemp("before"))


def seal(data_dir: Path, *arguments: str) -> dict[str, object]:
    command = [binary("KRX_RECORDER", "krx-recorder"), "seal", "--json", "--data-dir", data_dir, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout)


def outcomes(report: dict[str, Any]) -> list[str]:
    """What became of each partition; what is made of whole dates is another test's."""
    return [day["outcome"] for day in report["days"] if day["feed"] is not None]


def rows(data_dir: Path, reader: str) -> list[tuple[object, ...]]:
    """All rows with all columns, in order of arrival."""
    table = readers.TABLES[reader](data_dir, "trades")
    table = table.select([name for name in table.column_names if name not in ("date", "market")])
    columns = [table[name].to_pylist() for name in table.column_names]
    return sorted(zip(*columns, strict=True), key=lambda row: tuple(str(value) for value in row))


def wait_for_readings(stop: Path) -> None:
    """Waits until each reader has read once more."""

    def readings() -> list[int]:
        files = [live_reader.progress(stop, reader) for reader in readers.READERS]
        return [int(file.read_text() or 0) if file.exists() else 0 for file in files]

    before = readings()
    wait_until(lambda: all(a > b for a, b in zip(readings(), before, strict=True)), 60.0, "each reader has read")


def test_every_answer_has_the_same_count_while_days_are_sealed(before: days.Days, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    expected, answers = rows(before.data_dir, "pyarrow"), {}
    children = {reader: start_reader(reader, before.data_dir, stop, "trades", "again") for reader in readers.READERS}
    try:
        # The last ones one after the other, with a reading of each reader in between.
        dates = sorted(path.name.removeprefix("date=") for path in (before.data_dir / "trades").iterdir())
        for date in dates[-3:]:
            for market in ("KOSPI", "KOSDAQ"):
                report = seal(before.data_dir, date, "--feed", market)
                assert outcomes(report) == ["sealed"], report
                wait_for_readings(stop)
        report = seal(before.data_dir)
        assert outcomes(report) == ["sealed"] * 2 * len(dates[:-3]), report
        stop.touch()
        outputs = {reader: child.communicate(timeout=60)[0] for reader, child in children.items()}
    finally:
        for child in children.values():
            end(child)
    for reader, output in outputs.items():
        answers[reader] = result = json.loads(output)
        assert result["error"] == "", f"{reader} after {result['readings']} readings: {result['error']}"
        assert result["readings"] >= READINGS_MIN, f"{reader} read too seldom: {result['readings']}"
        counts = set(result["rows"]["trades"])
        assert counts == {len(expected)}, f"{reader} saw other counts: {sorted(counts)}"
        print(f"{reader}: {result['readings']} readings, run again {result['gone']} times")
    for path in (before.data_dir / "trades").glob("*/*"):
        assert len(list(path.iterdir())) == 1, path
    for reader in readers.READERS:
        assert len(rows(before.data_dir, reader)) == len(expected)
    assert rows(before.data_dir, "pyarrow") == expected
    assert seal(before.data_dir)["days"] == [], "all of them are sealed"


def test_the_reader_does_not_take_every_error_for_a_file_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    broken = tmp_path / "trades" / "date=2026-11-20" / "market=KOSPI" / "trades-x.parquet"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no Parquet")
    result = live_reader.watch("pyarrow", tmp_path, tmp_path / "stop", ["trades"], again=True)
    assert result["error"]
