"""A reader in its own process that reads once, and prints one JSON line: its rows, or its error.

    slow_reader.py FORM DATA_DIR OTHER_DATA_DIR

It reads the other directory first, so that what it does to this one is reading, and nothing that a first call loads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import readers

GONE = ("No such file or directory", "FileNotFoundError", "No files found")
"""In the words of all readers: the last one is DuckDB's, when it is given a list."""


def listed(data_dir: Path) -> list[str]:
    """All files of `trades`, as names."""
    return sorted(str(path) for path in (data_dir / "trades").glob("date=*/market=*/*.parquet"))


def whole(reader: str, data_dir: Path) -> int:
    return readers.SUMMARIES[reader](data_dir, "trades")[0]


def pyarrow_list(data_dir: Path) -> int:
    import pyarrow.dataset as ds

    partitions = ds.partitioning(readers.partitions("trades"), flavor="hive")
    return ds.dataset(listed(data_dir), partitioning=partitions).to_table().num_rows


def pandas_list(data_dir: Path) -> int:
    import pandas as pd

    return len(pd.concat(pd.read_parquet(path) for path in listed(data_dir)))


def duckdb_list(data_dir: Path) -> int:
    with readers.duckdb_connect() as connection:
        query = "SELECT sum(frame > 0) FROM read_parquet($files, hive_partitioning = true)"
        return int(connection.execute(query, {"files": listed(data_dir)}).fetchone()[0])


def polars_list(data_dir: Path) -> int:
    import polars as pl

    return pl.scan_parquet(listed(data_dir), hive_partitioning=True).collect().height


FORMS: dict[str, Callable[[Path], int]] = {
    **{name: partial(whole, name) for name in readers.SUMMARIES},
    "duckdb-list": duckdb_list,
    "pandas-list": pandas_list,
    "polars-list": polars_list,
    "pyarrow-list": pyarrow_list,
}


if __name__ == "__main__":
    form, data_dir, other = FORMS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
    form(other)
    rows, error = None, ""
    try:
        rows = form(data_dir)
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    print(json.dumps({"rows": rows, "error": error}))
