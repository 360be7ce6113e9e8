"""How a day of one market can be laid out in one Parquet file, and the writing of it with pyarrow.

A candidate's name says in what it differs from `DEFAULT`: `run=2,000,000`, `group=30,720`, `level=3`; `ranges` is
`DEFAULT` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WHOLE_DAY = 1 << 62
"""A run that no day fills: all rows are sorted together."""

SPLIT, DELTA, PLAIN, DICTIONARY = "BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED", "PLAIN", "DICTIONARY"

ENCODINGS = {
    "code": DICTIONARY,
    "trade_ts": DELTA,
    "price": DICTIONARY,
    "volume": PLAIN,
    "kind": DICTIONARY,
    "trade_time": DELTA,
    "recv_ts": PLAIN,
    "frame": DELTA,
    "item": DICTIONARY,
    "session": DELTA,
    "extra": DICTIONARY,
}
"""Those of the recorder (docs/adr/0034)."""


@dataclass(frozen=True)
class Layout:
    """Where rows stand, and how columns are written."""

    run_rows: int = 1_000_000
    """Rows in the order of arrival that are sorted together by (`code`, `frame`, `item`); 0: none are."""
    group_rows: int = 73_728
    """Rows of a row group. A run begins a new one."""
    ranges: bool = True
    """Sort by (`code`, `frame`, `item`) to find the rows of each row group, and write those in order of arrival: a row
    group is then a range of codes, and within it everything that rises with time rises."""
    page_rows: int = 20_000
    pages: str = "1.0"
    """The version of data pages."""
    level: int = 1
    """zstd's."""
    encodings: dict[str, str] = field(default_factory=lambda: dict(ENCODINGS), hash=False)
    page_index: bool = False
    bloom: bool = False
    """A bloom filter on `code`."""

    def encoded(self, **changes: str) -> Layout:
        """The same with other encodings."""
        return replace(self, encodings={**self.encodings, **changes})


def arrange(table: pa.Table, layout: Layout) -> list[pa.Table]:
    """The rows, which come in order of arrival, as runs that are each sorted by `code`; equal codes stay in order."""
    if layout.run_rows == 0:
        return [table]
    runs = []
    for begin in range(0, table.num_rows, min(layout.run_rows, table.num_rows)):
        run = table.slice(begin, layout.run_rows)
        codes = run["code"].combine_chunks().dictionary_encode()
        rank = np.empty(len(codes.dictionary), np.int32)
        rank[np.argsort(codes.dictionary.to_numpy(zero_copy_only=False))] = np.arange(len(rank))
        order = np.argsort(rank[codes.indices.to_numpy()].astype(np.int16), kind="stable")
        if layout.ranges:
            parts = range(0, len(order), layout.group_rows)
            order = np.concatenate([np.sort(order[part : part + layout.group_rows]) for part in parts])
        runs.append(run.take(pa.array(order)))
    return runs


def write(table: pa.Table, path: Path, layout: Layout) -> None:
    """Writes one market's day, whose rows come in order of arrival."""
    encodings = {name: encoding for name, encoding in layout.encodings.items() if encoding != DICTIONARY}
    sorting = [pq.SortingColumn(table.schema.get_field_index(name)) for name in ("code", "frame", "item")]
    writer = pq.ParquetWriter(
        path,
        table.schema,
        compression="zstd",
        compression_level=layout.level,
        use_dictionary=[name for name in layout.encodings if name not in encodings],
        column_encoding=encodings,
        data_page_version=layout.pages,
        dictionary_pagesize_limit=8 << 20,
        # Pages are to end by rows, not by bytes.
        data_page_size=64 << 20,
        max_rows_per_page=layout.page_rows,
        write_page_index=layout.page_index,
        sorting_columns=sorting if layout.run_rows and not layout.ranges else None,
        bloom_filter_options={"code": {"ndv": 4_000, "fpp": 0.01}} if layout.bloom else None,
    )
    with writer:
        for run in arrange(table, layout):
            writer.write_table(run, row_group_size=layout.group_rows)


def write_pandas(table: pa.Table, path: Path) -> None:
    """A baseline: the order of arrival, and everything as pandas does it by itself."""
    table.to_pandas().to_parquet(path)


def write_pyarrow(table: pa.Table, path: Path) -> None:
    """A baseline: the order of arrival, and everything as pyarrow does it by itself."""
    pq.write_table(table, path)


BASELINES: dict[str, Callable[[pa.Table, Path], None]] = {"pandas": write_pandas, "pyarrow": write_pyarrow}

DEFAULT = Layout()


def candidates(name: str) -> dict[str, Layout]:
    """The layouts of a round, by name: the default, and what differs from it in one thing."""
    rounds: dict[str, dict[str, Layout]] = {
        "orders": {
            "arrival": replace(DEFAULT, run_rows=0),
            "sorted, run=1,000,000, group=122,880": replace(DEFAULT, ranges=False, group_rows=122_880),
            "sorted, run=day": replace(DEFAULT, ranges=False, run_rows=WHOLE_DAY, group_rows=122_880),
        },
        "runs": {
            f"run={'day' if rows == WHOLE_DAY else format(rows, ',')}": replace(DEFAULT, run_rows=rows)
            for rows in (250_000, 500_000, 2_000_000, 4_000_000, WHOLE_DAY)
        },
        "groups": {f"group={rows:,}": replace(DEFAULT, group_rows=rows) for rows in (36_864, 61_440, 147_456)},
        "pages": {
            **{f"page={rows:,}": replace(DEFAULT, page_rows=rows) for rows in (2_048, 8_192, 73_728)},
            "page index": replace(DEFAULT, page_index=True),
            "bloom": replace(DEFAULT, bloom=True),
            "version-2 pages": replace(DEFAULT, pages="2.0"),
        },
        "levels": {f"level={level}": replace(DEFAULT, level=level) for level in (3, 6)},
        "encodings": {
            f"{column}={encoding.lower()}": DEFAULT.encoded(**{column: encoding})
            for column, encodings in {
                "code": (PLAIN, "DELTA_LENGTH_BYTE_ARRAY"),
                "price": (DELTA, SPLIT, PLAIN),
                "volume": (DICTIONARY, DELTA, SPLIT),
                "trade_ts": (SPLIT, DICTIONARY, PLAIN),
                "recv_ts": (SPLIT, DICTIONARY, DELTA),
                "item": (SPLIT, DELTA, PLAIN),
            }.items()
            for encoding in encodings
        },
    }
    return {"ranges": DEFAULT, **rounds[name]}
