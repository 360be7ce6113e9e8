"""What docs/reading-the-data.md warns of, and what it recommends instead ("Traps")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import readers

TRADE_TS = pd.Timestamp("2026-11-20 15:20:00.123", tz=readers.TZ)
LARGE = 2**53 + 1


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    """DuckDB with a view of three rows: one issue's code is all digits, another's looks like a power of ten."""
    rows = {
        "code": ["005930", "0012E3", "000660"],
        "trade_ts": pa.array([TRADE_TS] * 3, pa.timestamp("ms", readers.TZ)),
        "volume": [LARGE, 1, 1],
        "acc_volume": pa.array([LARGE, None, 1], pa.int64()),
    }
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table(rows), file)
    with readers.duckdb_connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Seoul'")
        connection.execute(f"CREATE VIEW rows AS FROM '{file}'")
        yield connection


def test_a_sum_is_a_float_in_pandas_unless_it_is_cast(connection: Any) -> None:
    own = "SELECT sum(volume) AS volume FROM rows WHERE code = '005930'"
    cast = own.replace("sum(volume)", "sum(volume)::BIGINT")
    assert connection.sql(own).types == ["HUGEINT"] and connection.sql(cast).types == ["BIGINT"]
    assert str(connection.sql(own).df()["volume"].dtype) == "float64"
    assert int(connection.sql(own).df()["volume"][0]) == LARGE - 1
    found = connection.sql(cast).df()["volume"]
    assert str(found.dtype) == "int64" and found[0] == LARGE
    assert pa.types.is_decimal(connection.sql(own).to_arrow_table().schema.field("volume").type)


def test_a_null_makes_floats_in_pandas_unless_types_are_nullable(connection: Any, tmp_path: Path) -> None:
    floats = pd.read_parquet(tmp_path / "rows.parquet")["acc_volume"]
    assert str(floats.dtype) == "float64" and int(floats[0]) == LARGE - 1
    of_duckdb = connection.sql("FROM rows").df()["acc_volume"]
    assert str(of_duckdb.dtype) == "Int64"
    nullable = pd.read_parquet(tmp_path / "rows.parquet", dtype_backend="numpy_nullable")["acc_volume"]
    by_arrow = connection.sql("FROM rows").to_arrow_table().to_pandas(types_mapper=pd.ArrowDtype)["acc_volume"]
    for found in (nullable, by_arrow):
        assert found[0] == LARGE and found[1] is pd.NA
    # A comparison with NA is NA, not false; with NaN it is false.
    assert (nullable > 0)[1] is pd.NA and not (floats > 0)[1]
    assert nullable[nullable > 0].count() == 2


def test_codes_are_numbers_in_csv_unless_they_are_read_as_text(connection: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    connection.execute(f"COPY (SELECT * FROM rows WHERE code <> '0012E3') TO '{file}'")
    assert list(pd.read_csv(file)["code"]) == [5930, 660]
    assert list(pd.read_csv(file, dtype={"code": str})["code"]) == ["005930", "000660"]
    assert list(pl.read_csv(file)["code"]) == [5930, 660]
    assert list(pl.read_csv(file, schema_overrides={"code": pl.String})["code"]) == ["005930", "000660"]
    connection.execute(f"COPY (SELECT * FROM rows WHERE code <> '005930') TO '{file}'")
    assert list(pd.read_csv(file)["code"]) == list(pl.read_csv(file)["code"]) == [12_000.0, 660.0]
    # To DuckDB a column is text if a number in it begins with a zero.
    assert connection.execute(f"SELECT code FROM read_csv('{file}')").fetchall() == [("0012E3",), ("000660",)]
    connection.execute(f"COPY (SELECT '373220' AS code) TO '{file}'")
    assert connection.execute(f"SELECT code FROM read_csv('{file}')").fetchall() == [(373_220,)]
    found = connection.execute(f"SELECT code FROM read_csv('{file}', types = {{'code': 'VARCHAR'}})").fetchall()
    assert found == [("373220",)]


def test_a_csv_for_excel_begins_with_a_mark_and_has_clock_times(connection: Any, tmp_path: Path) -> None:
    file = tmp_path / "excel.csv"
    rows = connection.sql("FROM rows").df()
    assert str(rows["trade_ts"].dt.tz) == readers.TZ
    rows["trade_ts"] = rows["trade_ts"].dt.tz_localize(None)
    rows["code"] = '="' + rows["code"] + '"'
    rows.to_csv(file, index=False, encoding="utf-8-sig")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    line = file.read_text("utf-8-sig").splitlines()[1]
    assert line.startswith('"=""005930""",2026-11-20 15:20:00.123,')


def test_clock_times_are_those_of_korea_in_each_reader(connection: Any, tmp_path: Path) -> None:
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    with pytest.raises(TypeError, match="Invalid comparison"):
        rows["trade_ts"] >= pd.Timestamp("2026-11-20 15:20")
    assert (rows["trade_ts"] >= pd.Timestamp("2026-11-20 15:20", tz="Asia/Seoul")).all()
    clock = "2026-11-20 15:20:00.123000"
    assert str(rows["trade_ts"].dt.tz_localize(None)[0]) == clock
    naive = pl.read_parquet(tmp_path / "rows.parquet")["trade_ts"].dt.replace_time_zone(None)[0]
    assert str(naive) == clock
    for zone in ("UTC", "America/New_York", "Asia/Seoul"):
        connection.execute(f"SET TimeZone = '{zone}'")
        query = "SELECT timezone('Asia/Seoul', trade_ts), trade_ts >= TIMESTAMPTZ '2026-11-20 15:20:00' FROM rows LIMIT 1"
        [(found, after)] = connection.execute(query).fetchall()
        assert str(found) == clock and after == (zone == "Asia/Seoul")
