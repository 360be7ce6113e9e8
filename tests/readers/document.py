"""The code blocks of `docs/reading-the-data.md`, so that what people copy has been tested and measured."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reading-the-data.md"

QUESTIONS = {
    "issue_day": "One issue's trades of one day",
    "issue_days": "One issue over twenty days",
    "minute": "One minute across the market",
    "vwap": "Volume-weighted average price and volume of every issue",
    "bars": "One-minute bars of a hundred issues",
}
"""The five questions, by short name, with the heading of each."""

BOOK_QUESTIONS = [
    "The spread over a day",
    "Depth and its imbalance",
    "The book at an instant",
    "Each trade with the quote before it",
    "Exact bars",
]
"""The headings of those about books and ticks."""

DERIVED = ["daily", "bars_1m"]
"""The headings of the datasets that are made of sealed days."""

ISSUE = "005930"
ISSUES = '"005930", "000660", "035420"'
"""The codes that the examples name: a simulated market does not have them."""


@dataclass(frozen=True)
class Block:
    """A fenced block, and its place."""

    heading: str
    language: str
    text: str
    line: int

    @property
    def library(self) -> str:
        """The reader that runs it: `duckdb`, `pandas`, `polars`, `pyarrow`, or the block's language."""
        if self.language == "sql":
            return "duckdb"
        imported = re.search(r"^import (pandas|polars|pyarrow)", self.text, re.MULTILINE)
        return imported.group(1) if imported else self.language


def blocks(path: Path = DOCUMENT) -> list[Block]:
    """All fenced blocks of a Markdown file, in order."""
    found: list[Block] = []
    heading, language, begun, text = "", None, 0, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if language is None:
                language, begun, text = line[3:].strip(), number, []
            else:
                found.append(Block(heading, language, "\n".join(text) + "\n", begun))
                language = None
        elif language is not None:
            text.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    return found


def question(name: str, library: str) -> str:
    """A question's code for DuckDB, pandas or polars."""
    found = [block.text for block in blocks() if block.heading == QUESTIONS[name] and block.library == library]
    assert len(found) == 1, f"{len(found)} blocks of {library} under {QUESTIONS[name]!r}"
    return found[0]


def about(text: str, issue: str, issues: list[str]) -> str:
    """An example with other issues than those it names."""
    quote = "'" if ISSUES not in text else '"'
    listed = ", ".join(f"{quote}{code}{quote}" for code in issues)
    return text.replace(ISSUES.replace('"', quote), listed).replace(ISSUE, issue)


def run_python(text: str) -> Any:
    """Runs a block, and returns the variable that it assigns last."""
    scope: dict[str, Any] = {}
    exec(compile(text, "reading-the-data.md", "exec"), scope)
    assigned = [
        node.targets[0].id
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    return scope[assigned[-1]]
