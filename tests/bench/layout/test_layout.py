"""The candidates hold the same rows as what they are made of, and lie as their names say."""

from __future__ import annotations

import inspect
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import layouts
import measure

pytestmark = pytest.mark.skipif(
    "max_rows_per_page" not in inspect.signature(pq.ParquetWriter.__init__).parameters,
    reason="this pyarrow cannot end pages by rows",
)

ROWS, RUN, GROUP = 10_000, 4_000, 500


@pytest.fixture(scope="module")
def day() -> pa.Table:
    """Rows in order of arrival, three per frame."""
    dice = random.Random(1)
    rows = range(ROWS)
    return pa.table(
        {
            "code": [f"{dice.randrange(60) ** 2:06}" for _ in rows],
            "trade_ts": pa.array(rows, pa.timestamp("ms", "Asia/Seoul")),
            "price": [dice.randrange(1000) for _ in rows],
            "volume": [dice.randrange(100) for _ in rows],
            "kind": pa.array(["trade"] * ROWS).dictionary_encode(),
            "trade_time": pa.array(rows, pa.int32()),
            "recv_ts": pa.array(rows, pa.timestamp("us", "Asia/Seoul")),
            "frame": [row // 3 + 1 for row in rows],
            "item": pa.array([row % 3 for row in rows], pa.int16()),
            "session": pa.array([1] * ROWS, pa.int32()),
            "extra": pa.array([None] * ROWS, pa.utf8()),
        }
    )


def in_order(table: pa.Table) -> pa.Table:
    return table.sort_by([("frame", "ascending"), ("item", "ascending")]).combine_chunks()


@pytest.mark.parametrize("name", ["orders", "runs", "groups", "pages", "levels", "encodings"])
def test_every_candidate_has_every_row(name: str, day: pa.Table, tmp_path: Path) -> None:
    for layout in layouts.candidates(name).values():
        layouts.write(day, tmp_path / "day.parquet", layout)
        assert in_order(pq.read_table(tmp_path / "day.parquet")).equals(day)


def groups(day: pa.Table, path: Path, layout: layouts.Layout) -> list[pa.Table]:
    layouts.write(day, path, layout)
    file = pq.ParquetFile(path)
    return [file.read_row_group(number) for number in range(file.num_row_groups)]


def test_a_row_group_is_a_range_of_codes_in_order_of_arrival(day: pa.Table, tmp_path: Path) -> None:
    layout = replace(layouts.DEFAULT, run_rows=RUN, group_rows=GROUP)
    found = groups(day, tmp_path / "day.parquet", layout)
    assert [group.num_rows for group in found] == [GROUP] * (ROWS // GROUP)
    for begin in range(0, ROWS, RUN):
        of_run = found[begin // GROUP : (begin + RUN) // GROUP]
        for group in of_run:
            assert group.equals(in_order(group))
        for earlier, later in zip(of_run, of_run[1:]):
            assert max(earlier["code"].to_pylist()) <= min(later["code"].to_pylist())
        assert in_order(pa.concat_tables(of_run)).equals(day.slice(begin, RUN).combine_chunks())


def test_a_sorted_run_is_sorted(day: pa.Table, tmp_path: Path) -> None:
    layout = replace(layouts.DEFAULT, ranges=False, run_rows=layouts.WHOLE_DAY, group_rows=GROUP)
    found = pa.concat_tables(groups(day, tmp_path / "day.parquet", layout))
    expected = day.sort_by([("code", "ascending"), ("frame", "ascending"), ("item", "ascending")])
    assert found.combine_chunks().equals(expected.combine_chunks())


def test_ratios_are_to_pandas() -> None:
    questions = ["issue_day"]
    slow = {"duckdb issue_day": 0.2, "pandas issue_day": 0.4}
    fast = {"duckdb issue_day": 0.05, "pandas issue_day": 0.8}
    table = measure.report(
        {
            "pandas": {"bytes_per_record": 10.0, "seconds": slow},
            "ranges": {"bytes_per_record": 5.0, "seconds": fast},
        },
        questions,
    )
    assert table.splitlines()[2] == "| pandas | 10.00 | 100 | 200 ms | 400 ms |"
    assert table.splitlines()[3] == "| ranges | 5.00 | 50 | 4.00 | 0.50 |"
