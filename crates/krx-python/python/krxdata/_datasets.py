"""The datasets, as the recorder describes them: `datasets.json` is what `krx-recorder schema --json` prints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

from ._errors import UsageError

SQL_TYPES = {
    "binary": "BLOB",
    "bool": "BOOLEAN",
    "dictionary[int32, utf8]": "VARCHAR",
    "float64": "DOUBLE",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "timestamp[ms, Asia/Seoul]": "TIMESTAMPTZ",
    "timestamp[us, Asia/Seoul]": "TIMESTAMPTZ",
    "utf8": "VARCHAR",
}
"""DuckDB's name of each column type."""


@dataclass(frozen=True)
class Dataset:
    """A table of files with one schema."""

    name: str
    schema_version: int
    partition_key: str | None
    """What the directories below `date=` are named after: `market`, `feed`, or nothing."""

    columns: tuple[tuple[str, str], ...]
    """Names and SQL types, without the keys of partitions."""

    @property
    def has_codes(self) -> bool:
        """Whether its rows are of issues."""
        return any(name == "code" for name, _ in self.columns)

    @property
    def is_of_frames(self) -> bool:
        """Whether its rows were received, so that the newest may be in the journal alone."""
        return any(name == "frame" for name, _ in self.columns)


def _load() -> dict[str, Dataset]:
    found = {}
    for each in json.loads(files(__package__).joinpath("datasets.json").read_text("utf-8")):
        columns = tuple((column["name"], SQL_TYPES[column["type"]]) for column in each["columns"])
        found[each["dataset"]] = Dataset(each["dataset"], each["schema_version"], each["partition_key"], columns)
    return found


DATASETS = _load()
"""All of them, by name."""


def dataset_of(name: str) -> Dataset:
    """The dataset of that name."""
    try:
        return DATASETS[name]
    except KeyError:
        raise UsageError(f"there is no dataset {name!r}; choose one of {', '.join(DATASETS)}") from None
