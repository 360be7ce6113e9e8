"""Each reader sees every row of the per-issue service that was sent, once, with the values that were sent and the documented
types, while it is recorded and sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import fields
import issues
import readers
from conftest import ISSUE_ROWS_MIN, IssueRecording
from test_values import LATE_S_MAX, as_expected, first_difference

FAR_APART = 1 << 28
"""Values further apart than this are where fastparquet goes wrong with deltas, without an error."""

DELTAS = {"trade_ts", "trade_time", "order_ts", "order_time", "frame", "session"}
"""The columns that may be deltas (docs/adr/0034): their values are never that far apart."""

every_reader = pytest.mark.parametrize("reader", readers.READERS)
every_dataset = pytest.mark.parametrize("dataset", fields.DATASETS)
recorded_and_sealed = pytest.mark.parametrize("state", ["recorded", "sealed"])


def test_the_day_is_worth_testing(issue_recording: IssueRecording) -> None:
    """Rows of every dataset, snapshots, nulls, numbers of every kind: or the tests below would prove little."""
    expected = issue_recording.expected.tables
    for dataset in fields.DATASETS:
        table = expected[dataset]
        assert table.num_rows >= ISSUE_ROWS_MIN, dataset
        assert len(pc.unique(table["code"])) > 1 or dataset == "indices"
        assert pc.max(table["item"]).as_py() > 0, f"{dataset}: messages with several rows"
        kinds = set(pc.unique(table["kind"]).to_pylist())
        assert kinds & {"trade", "update"}, dataset
        assert "snapshot" in kinds or dataset in ("quotes", "derivative_quotes", "changes"), dataset
    for dataset in ("ticks", "derivative_ticks"):
        assert set(pc.unique(expected[dataset]["preset"]).to_pylist()) == {"tick", "tick10"}
        assert 0 < expected[dataset]["open"].null_count < expected[dataset].num_rows
    assert expected["ticks"]["trade_ts"].null_count > 0
    assert "regular_close" in pc.unique(expected["ticks"]["kind"]).to_pylist()
    assert pc.min(expected["indices"]["change"]).as_py() < 0 < pc.max(expected["indices"]["change"]).as_py()
    prices = expected["derivative_books"]["ask_price_01"]
    assert pc.any(pc.not_equal(pc.floor(prices), prices)).as_py(), "decimals"
    values = expected["indices"]["acc_value"].to_pylist()
    assert max(abs(two - one) for one, two in zip(values, values[1:])) > FAR_APART
    reasons = set(pc.unique(expected["quarantine"]["reason"]).to_pylist())
    assert reasons == {"malformed_json", "unknown_message", "not_registered"}


@recorded_and_sealed
@every_reader
@every_dataset
def test_every_row_is_there_once_with_its_values(
    dataset: str, reader: str, state: str, issue_recording: IssueRecording
) -> None:
    expected = issue_recording.expected.tables[dataset]
    found = as_expected(readers.TABLES[reader](issue_recording.data_dirs[state], dataset), expected.schema)
    assert found.num_rows == expected.num_rows
    assert first_difference(found, expected) == ""


@recorded_and_sealed
@every_reader
def test_both_services_and_what_was_rejected_are_side_by_side(
    reader: str, state: str, issue_recording: IssueRecording
) -> None:
    data_dir = issue_recording.data_dirs[state]
    expected = pa.concat_tables([issue_recording.expected.tables["quarantine"], issue_recording.markets.quarantine])
    for dataset, rows in (("quarantine", expected), ("trades", issue_recording.markets.trades)):
        assert rows.num_rows > 0
        found = as_expected(readers.TABLES[reader](data_dir, dataset), rows.schema)
        assert first_difference(found, rows) == ""
        assert found.num_rows == rows.num_rows


@recorded_and_sealed
@every_reader
def test_registrations_say_what_became_of_each_pair(
    reader: str, state: str, issue_recording: IssueRecording
) -> None:
    schema = issue_recording.schemas["registrations"]
    found = readers.TABLES[reader](issue_recording.data_dirs[state], "registrations")
    columns = {entry.name: found[entry.name].cast(entry.type) for entry in schema}
    rows = pa.table(columns).sort_by([("from_ts", "ascending")]).to_pylist()
    expected = issue_recording.expected
    assert {(row["preset"], row["code"]) for row in rows} == expected.pairs
    of_session = {pair: [] for pair in expected.pairs}
    for row in rows:
        if row["session"] is not None:
            assert row["session"] == 1 and row["from_ts"] <= row["to_ts"]
            of_session[row["preset"], row["code"]].append(row["state"])
    for pair, states in of_session.items():
        last = "refused" if pair in expected.refused else "active"
        assert [one for one in states if one != "requested"] == [last], pair
    assert len(expected.refused) == 1


def test_the_feeds_columns_are_those_of_the_documentation(issue_recording: IssueRecording) -> None:
    for dataset in fields.DATASETS:
        assert issue_recording.schemas[dataset].names == fields.names(dataset)


@recorded_and_sealed
def test_duckdb_types(state: str, issue_recording: IssueRecording) -> None:
    words = {
        pa.utf8(): "VARCHAR",
        pa.int16(): "SMALLINT",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.timestamp("ms", readers.TZ): "TIMESTAMP WITH TIME ZONE",
        pa.timestamp("us", readers.TZ): "TIMESTAMP WITH TIME ZONE",
        pa.dictionary(pa.int32(), pa.utf8()): "VARCHAR",
    }
    with readers.duckdb_connect() as connection:
        for dataset, schema in of_issues(issue_recording):
            relation = readers.duckdb_relation(issue_recording.data_dirs[state], dataset)
            found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}
            columns = {entry.name: words[entry.type] for entry in schema}
            assert found == columns | {"date": "DATE", "feed": "VARCHAR"}, dataset


@recorded_and_sealed
def test_pandas_types(state: str, issue_recording: IssueRecording) -> None:
    import pandas as pd

    text = str(pd.Series(["text"]).dtype)
    words = {
        pa.utf8(): text,
        pa.float64(): "float64",
        pa.timestamp("ms", readers.TZ): f"datetime64[ms, {readers.TZ}]",
        pa.timestamp("us", readers.TZ): f"datetime64[us, {readers.TZ}]",
        pa.dictionary(pa.int32(), pa.utf8()): "category",
    }
    for dataset, schema in of_issues(issue_recording):
        frame = readers.pandas_frame(issue_recording.data_dirs[state], dataset)
        found = frame.dtypes.astype(str).to_dict()
        for entry in schema:
            if pa.types.is_integer(entry.type):
                # pandas' own integers cannot be null: where one is, the column is of doubles, which docs/reading-the-data.md says.
                expected = "float64" if frame[entry.name].hasnans else str(entry.type)
            else:
                expected = words[entry.type]
            # Text without any value may have no type of text.
            is_empty_text = expected == text and frame[entry.name].isna().all()
            assert found.pop(entry.name) in ({text, "object"} if is_empty_text else {expected}), f"{dataset}, {entry.name}"
        assert found == {"date": "category", "feed": "category"}


def test_pandas_keeps_whole_numbers_with_nulls_when_told_to(issue_recording: IssueRecording) -> None:
    import pandas as pd

    for dataset, schema in of_issues(issue_recording):
        frame = pd.read_parquet(issue_recording.data_dirs["sealed"] / dataset, dtype_backend="numpy_nullable")
        for entry in schema:
            if pa.types.is_integer(entry.type):
                assert str(frame[entry.name].dtype) == str(entry.type).capitalize(), f"{dataset}, {entry.name}"


@recorded_and_sealed
def test_polars_types(state: str, issue_recording: IssueRecording) -> None:
    import polars as pl

    types: dict[pa.DataType, Any] = {
        pa.utf8(): pl.String(),
        pa.int16(): pl.Int16(),
        pa.int32(): pl.Int32(),
        pa.int64(): pl.Int64(),
        pa.float64(): pl.Float64(),
        pa.timestamp("ms", readers.TZ): pl.Datetime("ms", readers.TZ),
        pa.timestamp("us", readers.TZ): pl.Datetime("us", readers.TZ),
        pa.dictionary(pa.int32(), pa.utf8()): pl.Categorical(),
    }
    for dataset, schema in of_issues(issue_recording):
        found = dict(readers.polars_frame(issue_recording.data_dirs[state], dataset).schema)
        columns = {entry.name: types[entry.type] for entry in schema}
        assert found == columns | {"date": pl.Date(), "feed": pl.String()}, dataset


@recorded_and_sealed
def test_pyarrow_types(state: str, issue_recording: IssueRecording) -> None:
    for dataset, schema in of_issues(issue_recording):
        found = readers.pyarrow_dataset(issue_recording.data_dirs[state], dataset).schema
        columns = {entry.name: (entry.type, entry.nullable) for entry in [*schema, *readers.partitions(dataset)]}
        assert {entry.name: (entry.type, entry.nullable) for entry in found} == columns, dataset


def of_issues(recording: IssueRecording) -> list[tuple[str, pa.Schema]]:
    """Each per-issue dataset with its schema."""
    return [(dataset, recording.schemas[dataset]) for dataset in fields.DATASETS]


@every_reader
def test_receive_times_follow_sending(reader: str, issue_recording: IssueRecording) -> None:
    """A frame has one receive time, whatever dataset its rows are in."""
    received: dict[int, int] = {}
    for dataset in fields.DATASETS:
        table = readers.TABLES[reader](issue_recording.data_dirs["sealed"], dataset)
        times = table["recv_ts"].cast(pa.timestamp("us", readers.TZ)).cast(pa.int64()).to_pylist()
        for frame, recv_us in zip(table["frame"].to_pylist(), times, strict=True):
            assert received.setdefault(frame, recv_us) == recv_us, f"{dataset}, frame {frame}"
    sent, last = issue_recording.expected.sent_us, 0
    for frame, recv_us in sorted(received.items()):
        assert max(sent[frame], last) <= recv_us <= sent[frame] + LATE_S_MAX * 1_000_000, f"frame {frame}"
        last = recv_us


@recorded_and_sealed
def test_only_columns_whose_values_are_close_are_deltas(state: str, issue_recording: IssueRecording) -> None:
    """fastparquet reads deltas that are far apart wrongly, without an error; old readers refuse newer encodings."""
    for dataset, schema in of_issues(issue_recording):
        for path in (issue_recording.data_dirs[state] / dataset).rglob("*.parquet"):
            for column, encodings in encodings_of(path).items():
                data = encodings - {"RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "PLAIN"}
                assert data <= ({"DELTA_BINARY_PACKED"} if column in DELTAS else set()), f"{path}, {column}"


@recorded_and_sealed
def test_no_column_has_an_order_that_old_readers_do_not_know(state: str, issue_recording: IssueRecording) -> None:
    """polars 1.0 refuses a file with any other. In thrift's compact protocol the orders are the end of the footer."""
    of_type = b"\x1c\x00\x00"
    for dataset in fields.DATASETS:
        for path in (issue_recording.data_dirs[state] / dataset).rglob("*.parquet"):
            columns = pq.read_metadata(path).num_columns
            assert path.read_bytes()[:-8].endswith(of_type * columns + b"\x00"), path


def encodings_of(path: Path) -> dict[str, set[str]]:
    """All encodings of each column of a file."""
    metadata = pq.read_metadata(path)
    found: dict[str, set[str]] = {}
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            found.setdefault(column.path_in_schema, set()).update(column.encodings)
    return found
