"""The user's own list of issues, whose columns answers get."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ._datasets import DATASETS
from ._errors import UsageError

CODE_NAMES = ("code", "종목코드", "단축코드")
"""What a list may call its codes; KRX's own lists have the Korean names."""

TAKEN = {name for dataset in DATASETS.values() for name, _ in dataset.columns} | {
    "date", "market", "feed", "dataset", "exact", "share", "gaps", "missing_s",
}  # fmt: skip
"""What answers call their own columns."""


def read(issues: Any) -> pa.Table:
    """A list of issues with the column `code`, from a file or a table."""
    names = _of_file(Path(issues)) if isinstance(issues, (str, os.PathLike)) else _of_table(issues)
    column = next((name for name in CODE_NAMES if name in names.column_names), None)
    if column is None:
        raise UsageError(f"the list of issues has no column `code`, but {', '.join(names.column_names)}")
    renamed = {name: f"issue_{name}" for name in TAKEN} | {column: "code"}
    names = names.rename_columns([renamed.get(name, name) for name in names.column_names])
    if len(set(names.column_names)) < len(names.column_names):
        raise UsageError(f"two columns of the list of issues have the same name: {', '.join(names.column_names)}")
    if "string" not in str(names["code"].type):
        raise UsageError("the list of issues has numbers for codes, which lack their zeros: read the column `code` as text")
    if len(names["code"].unique()) < len(names):
        raise UsageError("the list of issues names a code twice: each row of an answer would be there twice")
    return names


def _of_file(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        content = path.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            # Excel in Korea, and KRX.
            text = content.decode("cp949")
        options = pa.csv.ConvertOptions(column_types=dict.fromkeys(CODE_NAMES, pa.string()))
        return pa.csv.read_csv(io.BytesIO(text.encode()), convert_options=options)
    except (OSError, ValueError) as error:
        raise UsageError(f"the list of issues {path} cannot be read as CSV or Parquet: {error}") from None


def _of_table(issues: Any) -> pa.Table:
    try:
        with duckdb.connect() as connection:
            found: pa.Table = connection.sql("FROM issues").to_arrow_table()
            return found
    except duckdb.Error:
        raise UsageError(
            f"issues= is a path, or a table of pandas, polars or Arrow, and not a {type(issues).__name__}"
        ) from None
