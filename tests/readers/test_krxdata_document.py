"""`docs/python.md`: each of its blocks runs, in order, as a reader would type them."""

from __future__ import annotations

import ast
import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import duckdb
import matplotlib
import pandas as pd
import pytest

import document
from conftest import IssueRecording
from days import LAST, Days
from processes import ROOT
from test_krxdata import Live, live

import krxdata

__all__ = ["live"]

matplotlib.use("Agg")

DOCUMENT = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "docs" / "tour.ipynb"
DATA_DIR = "/var/lib/krx-recorder"

OF_THE_MARKET = ("Three lines", "What is there", "Trades", "Bars", "In SQL", "Charts")
OF_ISSUES = ("Registered issues", "Into other programs")
OTHERS = ("To the last second", "Names")


def lines_of(*headings: str) -> str:
    found = [block.text for block in document.blocks(DOCUMENT) if block.language == "python" and block.heading in headings]
    assert found, headings
    return "".join(found)


def run(text: str, data: krxdata.Data | None = None) -> list[Any]:
    """The values of the expressions in it; relations are asked for their rows."""
    namespace: dict[str, Any] = {"krxdata": krxdata, "data": data}
    values = []
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), "python.md", "eval"), namespace)
            values.append(value.df() if isinstance(value, duckdb.DuckDBPyRelation) else value)
        else:
            exec(compile(ast.Module([statement], []), "python.md", "exec"), namespace)
    return values


def about(text: str, codes: list[str], data_dir: Path) -> str:
    first, second = codes[:2]
    for printed, real in (("005930", first), ("000660", second), (DATA_DIR, str(data_dir))):
        assert "'" not in real
        text = text.replace(printed, real)
    return text


def test_every_block_is_run_by_a_test() -> None:
    headings = {block.heading for block in document.blocks(DOCUMENT) if block.language == "python"}
    assert headings == {*OF_THE_MARKET, *OF_ISSUES, *OTHERS}


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_questions_about_the_market(twenty_days: Days, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        text = "".join(lines_of(heading) for heading in OF_THE_MARKET)
        # That the warning may be an error is shown by itself.
        strict = 'warnings.simplefilter("error", krxdata.IncompleteWarning)\n'
        assert strict in text
        values = run(about(text.replace(strict, ""), twenty_days.issues, twenty_days.data_dir))
    frames = [value for value in values if isinstance(value, pd.DataFrame)]
    assert len(frames) > 12 and sum(hasattr(value, "savefig") for value in values) == 2
    assert [len(frame) > 0 for frame in frames].count(False) == 1, "only daily rows, as no date is sealed"
    data = krxdata.open(twenty_days.data_dir)
    with warnings.catch_warnings():
        exec(strict, {"warnings": warnings, "krxdata": krxdata})
        with pytest.raises(krxdata.IncompleteWarning):
            data.trades(first=LAST)


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_questions_about_registered_issues(issue_recording: IssueRecording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = krxdata.open(issue_recording.data_dirs["sealed"])
    (date,) = {row[0] for row in data.sql("SELECT DISTINCT date FROM coverage").fetchall()}
    instant = data.sql("SELECT strftime(timezone('Asia/Seoul', max(recv_ts)), '%Y-%m-%d %H:%M:%S.%f') FROM books").fetchall()[0][0]
    text = lines_of(*OF_ISSUES)
    text = text.replace("2026-11-20 10:00:00", instant).replace("2026-11-20", str(date))
    if importlib.util.find_spec("nautilus_trader") is None:
        text = "".join(line for line in text.splitlines(keepends=True) if "to_nautilus" not in line)
    values = run(text, data)
    assert all(len(frame) > 0 for frame in values if isinstance(frame, pd.DataFrame))
    assert {"005930.npz", "trades.csv.gz"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_the_newest_records(live: Live) -> None:
    text = about(lines_of("To the last second"), ["005930", "000660"], live.recorder.data_dir)
    text = text.replace("localhost:9464", live.address)
    assert "[-1])\n" in text
    # It would go on until the recorder stops.
    text = text.replace("[-1])\n", "[-1])\n    break\n")
    (frame,) = run(text)
    assert set(frame["code"]) == {"005930"}


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_names_of_issues(twenty_days: Days, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = twenty_days.issues[0]
    Path("names.csv").write_text(f"code,name\n{code},삼성전자\n")
    (frame,) = run(about(lines_of("Names"), twenty_days.issues, twenty_days.data_dir))
    assert set(frame[frame["code"] == code]["name"]) == {"삼성전자"}


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
@pytest.mark.filterwarnings("ignore:More than 20 figures")
def test_the_notebook_runs_from_its_first_cell_to_its_last(twenty_days: Days) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells), "outputs are of somebody's data"
    text = about("".join("".join(cell["source"]) + "\n" for cell in cells), twenty_days.issues, twenty_days.data_dir)
    values = run(text)
    shown = [value for value in values if isinstance(value, pd.DataFrame)]
    assert len(shown) == 7 and all(len(frame) > 0 for frame in shown)
    assert sum(hasattr(value, "savefig") for value in values) == 2
