"""Twenty trading days of both markets, and what their messages say in plain Python."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ledger
from processes import binary

LAST = dt.date(2026, 11, 20)
"""The date of the document's examples."""
RECORDS, RECORDS_LAST = 4_000, 120_000
GAP = (LAST, "KOSPI", dt.time(10, 0, 30), dt.time(10, 2, 10))
"""A stretch of the last day that was not recorded: no message below was sent in it."""

MAKE_S_MAX = 300.0

Row = dict[str, Any]


@dataclass
class Days:
    """A data directory with twenty days in it, and the messages from which they were made."""

    data_dir: Path
    messages: Path

    @cached_property
    def trades(self) -> list[Row]:
        """Every record with a clock time, in order of date, market, frame and item."""
        rows = []
        for path in sorted(self.messages.glob("*.jsonl")):
            date, market = dt.date.fromisoformat(path.name[:10]), path.stem[11:]
            midnight_ms = int(dt.datetime.combine(date, dt.time(), ledger.KST).timestamp()) * 1000
            for frame, line in enumerate(path.read_text().splitlines(), 1):
                for item, record in enumerate(json.loads(line)):
                    row = ledger.trade(record, midnight_ms)
                    if row is not None and row["kind"] == "trade":
                        rows.append(row | {"date": date, "market": market, "frame": frame, "item": item})
        return rows

    @cached_property
    def issues(self) -> list[str]:
        """The issues of KOSPI on the last date, those with the most trades first."""
        counts: dict[str, int] = {}
        for row in self.trades:
            if row["date"] == LAST and row["market"] == "KOSPI":
                counts[row["code"]] = counts.get(row["code"], 0) + 1
        return sorted(counts, key=lambda code: (-counts[code], code))


def make(folder: Path, records: int = RECORDS, records_last: int = RECORDS_LAST) -> Days:
    """Makes them: files of two hours each, so that a day has several. So many records per day, and on the last one."""
    days = Days(folder / "data", folder / "messages")
    gap = f"{GAP[0]},{GAP[1]},{GAP[2]},{GAP[3]}"
    arguments = ["--until", str(LAST), "--records", str(records), "--records-last", str(records_last)]
    arguments += ["--rotate-minutes", "120", "--gap", gap, "--messages", str(days.messages)]
    subprocess.run(
        [binary("KRX_BENCH", "krx-bench"), "days", str(days.data_dir), *arguments], check=True, timeout=MAKE_S_MAX
    )
    return days
