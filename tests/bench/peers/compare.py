"""Checks that two Parquet files, or directories of them, hold the same rows with the same values.

Both sides are brought to the types of the dataset's schema first, since not every writer can say "milliseconds in Seoul" or
"dictionary"; the instants and the words must be the same. Rows are compared in the order of (`frame`, `item`),
or in that of the file when one of the two is ignored.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from schema import SCHEMA


def load(path: Path, schema: pa.Schema, ignored: Collection[str]) -> pa.Table:
    """The rows of a file or a directory, in order, with the columns and types of `schema` less the ignored."""
    columns = [field.name for field in schema if field.name not in ignored]
    table = ds.dataset(path, format="parquet").to_table(columns=columns)
    arrays = []
    for field in schema:
        if field.name not in ignored:
            wanted = pa.utf8() if pa.types.is_dictionary(field.type) else field.type
            arrays.append(table[field.name].cast(wanted))
    table = pa.Table.from_arrays(arrays, columns)
    if {"frame", "item"} & set(ignored):
        return table
    return table.sort_by([("frame", "ascending"), ("item", "ascending")])


def difference(left: pa.ChunkedArray, right: pa.ChunkedArray) -> str:
    """Says where two columns of the same length first differ, or "" when they do not."""
    if left.equals(right):
        return ""
    same = pc.fill_null(pc.equal(left, right), False)
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    row = pc.index(pc.or_(same, both_null), False).as_py()
    return "" if row < 0 else f"row {row}: {left[row]} and {right[row]}"


def differences(
    left: Path, right: Path, ignored: Collection[str] = (), schema: pa.Schema = SCHEMA
) -> list[str]:
    """Every way in which two files differ, one line each."""
    a, b = load(left, schema, ignored), load(right, schema, ignored)
    if a.num_rows != b.num_rows:
        return [f"rows: {a.num_rows} and {b.num_rows}"]
    found = []
    for name in a.column_names:
        text = difference(a[name], b[name])
        if text:
            found.append(f"{name}: {text}")
    return found
