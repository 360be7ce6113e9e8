"""The DuckDB views of a data directory: those of `krx.sql`, reading each dataset as the directory has it.

`krx-recorder sql` prints the same. Here no program is needed, and the newest records may be Arrow tables.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from ._datasets import DATASETS, Dataset
from ._errors import NoDataError, UsageError, VersionError

SOURCE = files(__package__).joinpath("krx.sql").read_text("utf-8")

LAYOUT_VERSION = 2
"""Of a data directory: the number in `.krx/format`."""


def literal(text: str) -> str:
    """Text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def find(data_dir: Path) -> frozenset[str]:
    """The datasets that have files in a data directory.

    Raises NoDataError if it is no data directory, VersionError if its layout is not known.
    """
    try:
        return _find(data_dir)
    except OSError as error:
        raise NoDataError(f"{data_dir} cannot be read: {error}") from None


def _find(data_dir: Path) -> frozenset[str]:
    if not data_dir.is_dir():
        raise NoDataError(f"{data_dir} is not a directory; name the recorder's data_dir")
    mark = data_dir / ".krx" / "format"
    if mark.exists() and (version := mark.read_text("utf-8", "replace").strip()) != str(LAYOUT_VERSION):
        which = "a newer" if version.isdecimal() and int(version) > LAYOUT_VERSION else "another"
        raise VersionError(
            f"{data_dir} has layout {version}, of {which} recorder, and this krxdata reads {LAYOUT_VERSION}: "
            "install the krxdata of the recorder's version"
        )
    present = frozenset(name for name, dataset in DATASETS.items() if _has_files(data_dir, dataset))
    if not present and not (data_dir / ".krx").is_dir():
        raise NoDataError(f"no recorder has recorded anything in {data_dir}; name the recorder's data_dir")
    return present


def newest_file(data_dir: Path, dataset: Dataset) -> Path | None:
    """A file of a dataset's newest date that has one."""
    partition = f"{dataset.partition_key}=*/*.parquet" if dataset.partition_key else "*.parquet"
    dates = sorted((data_dir / dataset.name).glob("date=*"), reverse=True)
    return next((file for date in dates for file in date.glob(partition)), None)


def _has_files(data_dir: Path, dataset: Dataset) -> bool:
    return newest_file(data_dir, dataset) is not None


def of(data_dir: Path, present: Collection[str], tails: Collection[str] = (), first: dt.date = dt.date.max) -> str:
    """The statements that make the views of a directory in which these datasets have files.

    The views of the datasets `tails` also have the rows of the tables `tail_trades` and so on, each once. `first` is the first
    date of which these tables have rows.
    """
    directory = _pattern(data_dir)
    views = SOURCE
    for dataset in DATASETS.values():
        body = _of_files(dataset, directory) if dataset.name in present else of_nothing(dataset)
        if dataset.name in tails:
            body = _united(dataset, body, first)
        views = _with_body(views, dataset, body)
    return views.replace("glob('", f"glob('{directory}/")


def _with_body(views: str, dataset: Dataset, body: str) -> str:
    # The views without snapshots and copies are made of those with all rows.
    for name in (f"recorded_{dataset.name}", dataset.name):
        begin = f"CREATE OR REPLACE TEMP VIEW {name} AS\n"
        before, found, rest = views.partition(begin)
        if found:
            return before + begin + body + rest[rest.index(";\n") :]
    raise AssertionError(f"krx.sql has no view of {dataset.name}")


def _of_files(dataset: Dataset, directory: str) -> str:
    types = ["'date': DATE"] + ([f"'{dataset.partition_key}': VARCHAR"] if dataset.partition_key else [])
    return (
        f"FROM read_parquet('{directory}/{dataset.name}/**/*.parquet', hive_partitioning = true, "
        f"hive_types = {{{', '.join(types)}}})"
    )


def of_nothing(dataset: Dataset) -> str:
    """A dataset without rows."""
    columns = [*dataset.columns, ("date", "DATE")]
    if dataset.partition_key:
        columns.append((dataset.partition_key, "VARCHAR"))
    return f"SELECT {', '.join(f'NULL::{sql_type} AS {name}' for name, sql_type in columns)} WHERE false"


def _united(dataset: Dataset, body: str, first: dt.date) -> str:
    """All files of a date are listed once in a query, so a file that is committed at this moment is seen as a whole or not."""
    key, since = dataset.partition_key, f"DATE '{first}'"
    return f"""WITH tail AS MATERIALIZED (
    FROM tail_{dataset.name} WHERE date >= {since}
), file AS NOT MATERIALIZED (
{body}
)
SELECT * FROM file WHERE date < {since}
UNION ALL BY NAME
SELECT file.*
FROM file LEFT JOIN (SELECT date, {key}, frame, item, true AS is_in_tail FROM tail) AS newest
  ON newest.date = file.date AND newest.{key} = file.{key} AND newest.frame = file.frame
 AND newest.item IS NOT DISTINCT FROM file.item
WHERE file.date >= {since} AND is_in_tail IS NULL
UNION ALL BY NAME
FROM tail"""


def _pattern(data_dir: Path) -> str:
    """A path as DuckDB's patterns have it within quotes."""
    path = data_dir.as_posix()
    if "\\" in path:
        raise UsageError(f"DuckDB cannot name {data_dir}: it has a backslash in it; give the directory another name")
    # A class of one character is that character.
    return re.sub(r"[\[*?]", lambda found: f"[{found[0]}]", path).replace("'", "''").rstrip("/")
