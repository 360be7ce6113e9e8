"""Each reader sees exactly the documented types: analysts' queries depend on them."""

from __future__ import annotations

import pyarrow as pa

import readers
from conftest import MARKETS, Recording

ZONE = readers.TZ


def test_duckdb_types(recording: Recording) -> None:
    with readers.duckdb_connect() as connection:
        relation = readers.duckdb_relation(recording.data_dir, "trades")
        found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}
    assert found == {
        "code": "VARCHAR",
        "trade_ts": "TIMESTAMP WITH TIME ZONE",
        "price": "BIGINT",
        "volume": "BIGINT",
        "kind": "VARCHAR",
        "trade_time": "INTEGER",
        "recv_ts": "TIMESTAMP WITH TIME ZONE",
        "frame": "BIGINT",
        "item": "SMALLINT",
        "session": "INTEGER",
        "extra": "VARCHAR",
        "date": "DATE",
        "market": "VARCHAR",
    }


def test_duckdb_quarantine_types(recording: Recording) -> None:
    with readers.duckdb_connect() as connection:
        relation = readers.duckdb_relation(recording.data_dir, "quarantine")
        found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}
    assert found == {
        "recv_ts": "TIMESTAMP WITH TIME ZONE",
        "frame": "BIGINT",
        "item": "SMALLINT",
        "session": "INTEGER",
        "reason": "VARCHAR",
        "detail": "VARCHAR",
        "raw": "BLOB",
        "date": "DATE",
        "feed": "VARCHAR",
    }


def test_duckdb_hands_out_aware_times(recording: Recording) -> None:
    with readers.duckdb_connect() as connection:
        relation = readers.duckdb_relation(recording.data_dir, "trades")
        query = f"SELECT trade_ts, recv_ts, date, recv_ts - trade_ts FROM {relation} WHERE kind = 'trade' LIMIT 1"
        trade_ts, recv_ts, date, _ = connection.execute(query).fetchone()
    assert str(trade_ts.tzinfo) == str(recv_ts.tzinfo) == ZONE
    assert trade_ts.date() == recv_ts.date() == date == recording.expected.date


def test_pandas_types(recording: Recording) -> None:
    import pandas as pd

    frame = readers.pandas_frame(recording.data_dir, "trades")
    found = frame.dtypes.astype(str).to_dict()
    # Text is `str` since pandas 3, and `object` before it.
    text = str(pd.Series(["text"]).dtype)
    assert found == {
        "code": text,
        "trade_ts": f"datetime64[ms, {ZONE}]",
        "price": "int64",
        "volume": "int64",
        "kind": "category",
        "trade_time": "int32",
        "recv_ts": f"datetime64[us, {ZONE}]",
        "frame": "int64",
        "item": "int16",
        "session": "int32",
        "extra": found["extra"],
        "date": "category",
        "market": "category",
    }
    assert found["extra"] in (text, "object")
    assert list(frame["date"].cat.categories) == [str(recording.expected.date)]
    assert list(frame["market"].cat.categories) == list(MARKETS)


def test_polars_types(recording: Recording) -> None:
    import polars as pl

    found = dict(readers.polars_frame(recording.data_dir, "trades").schema)
    assert found == {
        "code": pl.String(),
        "trade_ts": pl.Datetime("ms", ZONE),
        "price": pl.Int64(),
        "volume": pl.Int64(),
        "kind": pl.Categorical(),
        "trade_time": pl.Int32(),
        "recv_ts": pl.Datetime("us", ZONE),
        "frame": pl.Int64(),
        "item": pl.Int16(),
        "session": pl.Int32(),
        "extra": pl.String(),
        "date": pl.Date(),
        "market": pl.String(),
    }


def test_polars_quarantine_types(recording: Recording) -> None:
    import polars as pl

    found = dict(readers.polars_frame(recording.data_dir, "quarantine").schema)
    assert found.pop("reason") in (pl.String(), pl.Categorical())
    assert found == {
        "recv_ts": pl.Datetime("us", ZONE),
        "frame": pl.Int64(),
        "item": pl.Int16(),
        "session": pl.Int32(),
        "detail": pl.String(),
        "raw": pl.Binary(),
        "date": pl.Date(),
        "feed": pl.String(),
    }


def test_pyarrow_types(recording: Recording) -> None:
    schema = readers.pyarrow_dataset(recording.data_dir, "trades").schema
    kind = schema.field("kind").type
    assert pa.types.is_dictionary(kind)
    assert kind.value_type == pa.utf8()
    assert {field.name: (field.type, field.nullable) for field in schema} == {
        "code": (pa.utf8(), False),
        "trade_ts": (pa.timestamp("ms", ZONE), True),
        "price": (pa.int64(), False),
        "volume": (pa.int64(), False),
        "kind": (kind, False),
        "trade_time": (pa.int32(), False),
        "recv_ts": (pa.timestamp("us", ZONE), False),
        "frame": (pa.int64(), False),
        "item": (pa.int16(), False),
        "session": (pa.int32(), False),
        "extra": (pa.utf8(), True),
        "date": (pa.date32(), True),
        "market": (pa.utf8(), True),
    }


def test_pyarrow_quarantine_types(recording: Recording) -> None:
    schema = readers.pyarrow_dataset(recording.data_dir, "quarantine").schema
    types = {field.name: field.type for field in schema}
    reason = types.pop("reason")
    assert reason == pa.utf8() or (pa.types.is_dictionary(reason) and reason.value_type == pa.utf8())
    assert types == {
        "recv_ts": pa.timestamp("us", ZONE),
        "frame": pa.int64(),
        "item": pa.int16(),
        "session": pa.int32(),
        "detail": pa.utf8(),
        "raw": pa.binary(),
        "date": pa.date32(),
        "feed": pa.utf8(),
    }
    assert schema.field("item").nullable
