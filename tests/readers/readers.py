"""The four readers, each used as its own documentation says.

`SUMMARIES[name](data_dir, dataset)` reads every row of a dataset and gives (rows, sum of the frame numbers); the
sum keeps a reader from answering out of the footers alone. `TABLES[name](data_dir, dataset)` gives the whole dataset
as an Arrow table, with whatever types the reader has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

TZ = "Asia/Seoul"


def key(dataset: str) -> str:
    """What a dataset is partitioned by below the date: `trades` by market, everything else by feed."""
    return "market" if dataset == "trades" else "feed"


Summary = tuple[int, int]


def glob(data_dir: Path, dataset: str) -> str:
    """The pattern of a dataset's files."""
    return str(data_dir / dataset / "**" / "*.parquet")


def duckdb_relation(data_dir: Path, dataset: str) -> str:
    """The dataset as DuckDB's FROM clause."""
    return f"read_parquet('{glob(data_dir, dataset)}', hive_partitioning = true)"


def duckdb_connect() -> Any:
    """A connection that shows instants in Korean time: DuckDB shows them in the session's zone, not the file's."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{TZ}'")
    return connection


def duckdb_summary(data_dir: Path, dataset: str) -> Summary:
    with duckdb_connect() as connection:
        query = f"SELECT count(*), coalesce(sum(frame), 0)::BIGINT FROM {duckdb_relation(data_dir, dataset)}"
        rows, frames = connection.execute(query).fetchone()
    return rows, frames


def duckdb_table(data_dir: Path, dataset: str) -> pa.Table:
    with duckdb_connect() as connection:
        return connection.sql(f"FROM {duckdb_relation(data_dir, dataset)}").to_arrow_table()


def pandas_frame(data_dir: Path, dataset: str) -> Any:
    """The dataset as a DataFrame."""
    import pandas as pd

    return pd.read_parquet(data_dir / dataset, engine="pyarrow")


def pandas_summary(data_dir: Path, dataset: str) -> Summary:
    frame = pandas_frame(data_dir, dataset)
    return len(frame), int(frame["frame"].sum()) if len(frame) else 0


def pandas_table(data_dir: Path, dataset: str) -> pa.Table:
    return pa.Table.from_pandas(pandas_frame(data_dir, dataset), preserve_index=False)


def polars_frame(data_dir: Path, dataset: str) -> Any:
    """The dataset as a DataFrame."""
    import polars as pl

    return pl.scan_parquet(glob(data_dir, dataset), hive_partitioning=True).collect()


def polars_summary(data_dir: Path, dataset: str) -> Summary:
    frame = polars_frame(data_dir, dataset)
    return frame.height, frame["frame"].sum()


def polars_table(data_dir: Path, dataset: str) -> pa.Table:
    return polars_frame(data_dir, dataset).to_arrow()


def partitions(dataset: str) -> pa.Schema:
    """The columns in the path."""
    return pa.schema([("date", pa.date32()), (key(dataset), pa.utf8())])


def pyarrow_dataset(data_dir: Path, dataset: str) -> Any:
    """The dataset with `date` as a date: without a schema pyarrow takes it for a string."""
    import pyarrow.dataset as ds

    return ds.dataset(data_dir / dataset, partitioning=ds.partitioning(partitions(dataset), flavor="hive"))


def pyarrow_summary(data_dir: Path, dataset: str) -> Summary:
    import pyarrow.compute as pc

    table = pyarrow_table(data_dir, dataset)
    return table.num_rows, pc.sum(table["frame"]).as_py() or 0


def pyarrow_table(data_dir: Path, dataset: str) -> pa.Table:
    return pyarrow_dataset(data_dir, dataset).to_table()


SUMMARIES: dict[str, Callable[[Path, str], Summary]] = {
    "duckdb": duckdb_summary,
    "pandas": pandas_summary,
    "polars": polars_summary,
    "pyarrow": pyarrow_summary,
}
TABLES: dict[str, Callable[[Path, str], pa.Table]] = {
    "duckdb": duckdb_table,
    "pandas": pandas_table,
    "polars": polars_table,
    "pyarrow": pyarrow_table,
}
READERS = tuple(TABLES)
