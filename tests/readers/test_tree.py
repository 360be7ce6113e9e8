"""The datasets hold finished Parquet files and nothing else: one foreign file fails some reader's whole query."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import fields
import issues
import readers
from conftest import MARKETS, IssueRecording, Recording

FILE = re.compile(
    r"date=(?P<date>\d{4}-\d\d-\d\d)/(?P<key>market|feed)=(?P<feed>[A-Z]+)/"
    r"(?P<dataset>[a-z_]+)-(?P<day>\d{8})T\d{6}-(?P<first>\d{12})-(?P<last>\d{12})\.parquet"
)


@pytest.mark.parametrize("dataset", ["trades", "quarantine"])
def test_only_finished_parquet_files(dataset: str, recording: Recording) -> None:
    assert_only_finished(recording.data_dir, dataset, MARKETS)


@pytest.mark.parametrize("state", ["recorded", "sealed"])
@pytest.mark.parametrize("dataset", fields.DATASETS)
def test_only_finished_parquet_files_of_issues(dataset: str, state: str, issue_recording: IssueRecording) -> None:
    assert_only_finished(issue_recording.data_dirs[state], dataset, [issues.FEED])


def assert_only_finished(data_dir: Path, dataset: str, feeds: Iterable[str]) -> None:
    """A dataset's directory holds files of these feeds, each with the frames that its name says, and nothing else."""
    root = data_dir / dataset
    files = [path for path in root.rglob("*") if not path.is_dir()]
    assert files
    covered: dict[str, int] = dict.fromkeys(feeds, 0)
    for path in sorted(files):
        match = FILE.fullmatch(path.relative_to(root).as_posix())
        assert match, f"{path} is not a committed file"
        assert (match["dataset"], match["key"]) == (dataset, readers.key(dataset))
        assert match["date"].replace("-", "") == match["day"]
        file = pq.ParquetFile(path)
        footer = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
        assert file.read().num_rows == file.metadata.num_rows
        assert footer[f"krx.{match['key']}"] == match["feed"]
        assert footer["krx.date"] == match["date"]
        assert int(footer["krx.first_frame"]) == int(match["first"])
        assert int(footer["krx.last_frame"]) == int(match["last"])
        assert int(match["first"]) > covered[match["feed"]], f"{path} covers frames of the file before it"
        covered[match["feed"]] = int(match["last"])
    assert all(covered.values()), "all feeds have files"
