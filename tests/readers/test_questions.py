"""The examples of `docs/reading-the-data.md` are run as printed: the five questions against an answer in plain
Python, and all others checked word for word."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import days
import document
import readers
from conftest import Recording
from days import Days, Row
from document import Block
from processes import ROOT, binary

ISSUES = 100
SEAL_S_MAX = 60.0
BEGIN_MS = 1_795_136_400_000
"""2026-11-20 10:00 in Korea, the minute that the document asks for."""


def plain(value: Any) -> Any:
    """A value without the types that only one reader has."""
    return int(value) if isinstance(value, Decimal) else value


def rows(table: pa.Table, columns: list[str]) -> list[tuple[Any, ...]]:
    """The rows of an answer, instants in milliseconds."""
    values = []
    for name in columns:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        values.append([plain(value) for value in column.to_pylist()])
    return list(zip(*values, strict=True))


def ask(library: str, text: str) -> pa.Table:
    """The answer of an example."""
    if library == "duckdb":
        with readers.duckdb_connect() as connection:
            return connection.sql(text).to_arrow_table()
    answer = document.run_python(text)
    if library == "polars":
        return answer.to_arrow()
    keys = [name for name in answer.index.names if name is not None]
    return pa.Table.from_pandas(answer.reset_index() if keys else answer, preserve_index=False)


def ticks(trades: list[Row], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in trades]


def issue_day(of: Days) -> list[tuple[Any, ...]]:
    issue = of.issues[3]
    found = [row for row in of.trades if row["date"] == days.LAST and row["code"] == issue]
    return ticks(found, "trade_ts", "price", "volume")


def issue_days(of: Days) -> list[tuple[Any, ...]]:
    return ticks([row for row in of.trades if row["code"] == of.issues[3]], "trade_ts", "price", "volume")


def minute(of: Days) -> list[tuple[Any, ...]]:
    found = [
        row
        for row in of.trades
        if row["market"] == "KOSPI" and BEGIN_MS <= row["trade_ts"] < BEGIN_MS + 60_000 and row["date"] == days.LAST
    ]
    return ticks(found, "code", "trade_ts", "price", "volume")


def vwap(of: Days) -> list[tuple[Any, ...]]:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in of.trades:
        if row["date"] == days.LAST:
            issue = sums[row["market"], row["code"]]
            issue[0] += row["price"] * row["volume"]
            issue[1] += row["volume"]
    return [(*key, value / volume, volume) for key, (value, volume) in sorted(sums.items())]


def bars(of: Days) -> list[tuple[Any, ...]]:
    asked = set(of.issues[:ISSUES])
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in of.trades:
        if row["date"] == days.LAST and row["code"] in asked:
            found[row["code"], row["trade_ts"] // 60_000 * 60_000].append(row)
    lines = []
    for key, trades in sorted(found.items()):
        prices = [row["price"] for row in trades]
        volume = sum(row["volume"] for row in trades)
        lines.append((*key, prices[0], max(prices), min(prices), prices[-1], volume))
    return lines


TICK = ["trade_ts", "price", "volume"]
ANSWERS: dict[str, tuple[Callable[[Days], list[tuple[Any, ...]]], list[str]]] = {
    "issue_day": (issue_day, TICK),
    "issue_days": (issue_days, TICK),
    "minute": (minute, ["code", *TICK]),
    "vwap": (vwap, ["market", "code", "vwap", "volume"]),
    "bars": (bars, ["code", "minute", "open", "high", "low", "close", "volume"]),
}


@pytest.fixture(scope="session")
def one_file_a_day(twenty_days: Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same days in one file each, whose rows are in no order on which a question could rely."""
    folder = tmp_path_factory.mktemp("one-file")
    for partition in (twenty_days.data_dir / "trades").glob("date=*/market=*"):
        table = ds.dataset(partition).to_table().sort_by([("code", "descending"), ("price", "descending")])
        target = folder / partition.relative_to(twenty_days.data_dir)
        target.mkdir(parents=True)
        pq.write_table(table, target / "trades.parquet", row_group_size=5_000)
    return folder


@pytest.fixture(scope="session")
def sealed(twenty_days: Days, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same days as the recorder leaves them after the close."""
    folder = tmp_path_factory.mktemp("sealed") / "data"
    shutil.copytree(twenty_days.data_dir, folder)
    for date in sorted({row["date"] for row in twenty_days.trades}):
        command = [binary("KRX_RECORDER", "krx-recorder"), "seal", str(date), "--data-dir", str(folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=SEAL_S_MAX)
    assert all(len(list(path.iterdir())) == 1 for path in (folder / "trades").glob("date=*/market=*"))
    return folder


@pytest.fixture
def laid_out(request: pytest.FixtureRequest, twenty_days: Days) -> Path:
    """The twenty days in one of their layouts."""
    return twenty_days.data_dir if request.param == "recorded" else request.getfixturevalue(request.param)


@pytest.mark.parametrize("library", ["duckdb", "pandas", "polars"])
@pytest.mark.parametrize("laid_out", ["recorded", "one_file_a_day", "sealed"], indirect=True)
@pytest.mark.parametrize("name", document.QUESTIONS)
def test_a_question_is_answered_right(
    name: str, laid_out: Path, library: str, twenty_days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(laid_out)
    text = document.about(document.question(name, library), twenty_days.issues[3], twenty_days.issues[:ISSUES])
    answer, columns = ANSWERS[name]
    expected = answer(twenty_days)
    assert len(expected) > 20
    found = ask(library, text)
    assert found.column_names == columns
    assert rows(found, columns) == expected


def on_the_date(recording: Recording, block: Block) -> str:
    """An example with the recording's date in place of the document's."""
    date = recording.expected.date
    issues = recording.expected.trades["code"].unique().to_pylist()
    text = document.about(block.text, issues[0], issues[:ISSUES]).replace(str(days.LAST), str(date))
    return re.sub(r"2026, 11, 20\b", f"{date.year}, {date.month}, {date.day}", text)


RUN = [
    block
    for block in document.blocks()
    # test_issue_views.py asks those about books, and test_daily.py those about sealed days.
    if block.language in ("sql", "python") and block.heading not in document.BOOK_QUESTIONS + document.DERIVED
]


def test_the_document_has_its_examples() -> None:
    counted = {library: sum(block.library == library for block in RUN) for library in ("duckdb", "pandas", "polars")}
    assert all(count >= 6 for count in counted.values()), counted


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.library}-{block.line}")
def test_an_example_runs(block: Block, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recording.data_dir)
    views = (ROOT / "deploy" / "krx.sql").read_text()
    Path("krx.sql").write_text(views)
    text = on_the_date(recording, block)
    if block.language == "python":
        exec(compile(text, f"reading-the-data.md:{block.line}", "exec"), {})
        return
    with readers.duckdb_connect() as connection:
        connection.execute(views)
        connection.execute(text).fetchall()
