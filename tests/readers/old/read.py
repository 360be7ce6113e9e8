#!/usr/bin/env python3
"""One reader in its own environment: what it makes of data directories, compared with what they hold.

    read.py READER TASK

TASK is a pickle that test_old_readers.py makes; the outcomes go to standard output as JSON, one a comparison. Beside the
standard library this needs the reader alone, in the version of its set.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import document  # noqa: E402
import fields  # noqa: E402

ZONE = "Asia/Seoul"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
TIMES = ("trade_ts", "order_ts", "recv_ts", "from_ts", "to_ts", "ts", "first_ts", "last_ts")

OF_A_DATE = (
    "feed market code open high low close official_close volume value records first_ts last_ts recorded_share".split()
)

COLUMN_NAMES = {
    "trades": "code trade_ts price volume kind trade_time recv_ts frame item session extra".split(),
    "quarantine": "recv_ts frame item session reason detail raw".split(),
    "coverage": "from_ts to_ts state reason session frames rows detail".split(),
    "registrations": "preset code from_ts to_ts state session detail".split(),
    **{dataset: fields.names(dataset) for dataset in fields.DATASETS},
    "clock": "ts synchronised offset_us max_error_us source".split(),
    "daily": OF_A_DATE,
    "daily_derivatives": OF_A_DATE,
    "bars_1m": "feed market code ts open high low close volume value records complete".split(),
}
"""The columns in the files."""

OF_ALL_FEEDS = {"clock": ("ts",), "daily": ("feed", "code"), "daily_derivatives": ("feed", "code"), "bars_1m": ("feed", "code", "ts")}
"""Datasets with one file for each date, and what is unique in it."""

KEYS = {
    dataset: ("date",) if dataset in OF_ALL_FEEDS else ("date", "market" if dataset == "trades" else "feed")
    for dataset in COLUMN_NAMES
}
"""The columns in the path."""

ORDER = {"coverage": ("from_ts",), "registrations": ("from_ts", "preset", "code"), **OF_ALL_FEEDS}
"""What is unique in a partition; in all other datasets it is (frame, item)."""

Columns = dict[str, list[Any]]
Rows = list[tuple[Any, ...]]


def micros(value: dt.datetime | None) -> int | None:
    """An instant; one without a zone is one in UTC."""
    if value is None or value != value:
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)
    return (aware - EPOCH) // dt.timedelta(microseconds=1)


def plain(value: Any) -> Any:
    """A value without the types that only one reader has; times are microseconds from the Unix epoch."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, dt.datetime):
        return micros(value)
    if isinstance(value, dt.date):
        return str(value)
    if isinstance(value, (bytes, bytearray, str)):
        return bytes(value) if isinstance(value, bytearray) else value
    return int(value) if value == int(value) else float(value)


def of_pandas(frame: Any) -> Columns:
    return {name: [plain(value) for value in frame[name].astype(object)] for name in frame.columns}


# Every row of a dataset.


def pyarrow_columns(data: Path, dataset: str) -> Columns:
    import pyarrow as pa
    import pyarrow.dataset as ds

    keys = pa.schema([(name, pa.date32() if name == "date" else pa.utf8()) for name in KEYS[dataset]])
    table = ds.dataset(data / dataset, partitioning=ds.partitioning(keys, flavor="hive")).to_table()
    return {name: [plain(value) for value in table[name].to_pylist()] for name in table.column_names}


def pandas_columns(data: Path, dataset: str) -> Columns:
    import pandas as pd

    return of_pandas(pd.read_parquet(data / dataset, engine="pyarrow"))


def fastparquet_columns(data: Path, dataset: str) -> Columns:
    """Each column by itself: one that it cannot read must not hide one that it reads wrongly."""
    import pandas as pd

    columns: Columns = {}
    for name in COLUMN_NAMES[dataset]:
        try:
            frame = pd.read_parquet(data / dataset, engine="fastparquet", columns=[name])
            columns[name] = of_pandas(frame)[name]
        except Exception as error:  # noqa: BLE001
            columns[name] = [error]
    return columns


def duckdb_columns(data: Path, dataset: str) -> Columns:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{ZONE}'")
        connection.execute(f"FROM read_parquet('{data / dataset}/**/*.parquet', hive_partitioning = true)")
        names = [column[0] for column in connection.description]
        columns = zip(*connection.fetchall())
        return {name: [plain(value) for value in column] for name, column in zip(names, columns)}


def polars_columns(data: Path, dataset: str) -> Columns:
    import polars as pl

    frame = pl.scan_parquet(f"{data / dataset}/**/*.parquet", hive_partitioning=True).collect()
    return {name: [plain(value) for value in frame[name].to_list()] for name in frame.columns}


def clickhouse(query: str) -> list[list[Any]]:
    import chdb

    # One thread, or the parts of a column come in any order.
    settings = " SETTINGS output_format_json_quote_64bit_integers = 0, max_threads = 1" if query.startswith("SELECT") else ""
    return json.loads(str(chdb.query(query + settings, "JSONCompact")))["data"]


def clickhouse_file(data: Path, dataset: str) -> str:
    return f"file('{data / dataset}/**/*.parquet', Parquet)"


def chdb_columns(data: Path, dataset: str) -> Columns:
    file = clickhouse_file(data, dataset)
    types = {name: kind for name, kind, *_ in clickhouse(f"DESCRIBE TABLE {file}") if name not in KEYS[dataset]}
    # The path has the partition in every version; not every version makes columns of it.
    wanted = {name: f"extract(_path, '{name}=([^/]+)')" for name in KEYS[dataset]}
    for name, kind in types.items():
        if "DateTime64" in kind:
            wanted[name] = f"toUnixTimestamp64Micro(toDateTime64({name}, 6))"
        else:
            wanted[name] = f"hex({name})" if name == "raw" else name
    rows = clickhouse(f"SELECT {', '.join(wanted.values())} FROM {file}")
    columns = dict(zip(wanted, map(list, zip(*rows))))
    if "raw" in columns:
        columns["raw"] = [bytes.fromhex(value) for value in columns["raw"]]
    return columns


def spark() -> Any:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    session = builder.config("spark.sql.session.timeZone", ZONE).config("spark.log.level", "ERROR").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def spark_columns(data: Path, dataset: str) -> Columns:
    frame = spark().read.parquet(str(data / dataset))
    wanted = [f"unix_micros({name}) AS {name}" if name in TIMES else name for name in frame.columns]
    columns = zip(*frame.selectExpr(*wanted).collect())
    return {name: [plain(value) for value in column] for name, column in zip(frame.columns, columns)}


COLUMNS: dict[str, Callable[[Path, str], Columns]] = {
    "pyarrow": pyarrow_columns,
    "pandas": pandas_columns,
    "fastparquet": fastparquet_columns,
    "duckdb": duckdb_columns,
    "polars": polars_columns,
    "chdb": chdb_columns,
    "spark": spark_columns,
}


def in_order(columns: Columns, dataset: str) -> Rows:
    """Rows as tuples in the order of the columns' names, sorted by what is unique."""
    place = ORDER.get(dataset, ("frame", "item"))
    names = sorted(columns)
    keys = [names.index(name) for name in (*KEYS[dataset], *place)]

    def order(row: tuple[Any, ...]) -> Any:
        return [(-1 if row[key] is None else row[key]) for key in keys], repr(row)

    return sorted(zip(*(columns[name] for name in names)), key=order)


# The document's questions. DuckDB, pandas and polars are asked with its own words; the others speak another SQL.

SPARK = {
    "issue_day": """SELECT trade_ts, price, volume FROM trades
        WHERE date = DATE '2026-11-20' AND code = '005930' AND kind = 'trade' ORDER BY frame, item""",
    "issue_days": """SELECT trade_ts, price, volume FROM trades
        WHERE date BETWEEN DATE '2026-10-26' AND DATE '2026-11-20' AND code = '005930' AND kind = 'trade'
        ORDER BY date, frame, item""",
    "minute": """SELECT code, trade_ts, price, volume FROM trades
        WHERE date = DATE '2026-11-20' AND market = 'KOSPI' AND kind = 'trade'
          AND trade_ts >= TIMESTAMP '2026-11-20 10:00:00+09:00' AND trade_ts < TIMESTAMP '2026-11-20 10:01:00+09:00'
        ORDER BY frame, item""",
    "vwap": """SELECT market, code, sum(price * volume) / sum(volume) AS vwap, sum(volume) AS volume FROM trades
        WHERE date = DATE '2026-11-20' AND kind = 'trade' GROUP BY market, code ORDER BY market, code""",
    "bars": """SELECT code, date_trunc('minute', trade_ts) AS minute, min_by(price, struct(frame, item)) AS open,
        max(price) AS high, min(price) AS low, max_by(price, struct(frame, item)) AS close, sum(volume) AS volume
        FROM trades WHERE date = DATE '2026-11-20' AND kind = 'trade' AND code IN ('005930', '000660', '035420')
        GROUP BY code, minute ORDER BY code, minute""",
}

TEN, PAST_TEN = (f"toDateTime64('2026-11-20 10:0{minute}:00', 3, '{ZONE}')" for minute in (0, 1))
CLICKHOUSE = {
    "issue_day": """SELECT us, price, volume FROM trades
        WHERE date = '2026-11-20' AND code = '005930' AND kind = 'trade' ORDER BY frame, item""",
    "issue_days": """SELECT us, price, volume FROM trades
        WHERE date BETWEEN '2026-10-26' AND '2026-11-20' AND code = '005930' AND kind = 'trade' ORDER BY date, frame, item""",
    "minute": f"""SELECT code, us, price, volume FROM trades
        WHERE date = '2026-11-20' AND market = 'KOSPI' AND kind = 'trade' AND trade_ts >= {TEN} AND trade_ts < {PAST_TEN}
        ORDER BY frame, item""",
    "vwap": """SELECT market, code, sum(price * volume) / sum(volume) AS vwap, sum(volume) FROM trades
        WHERE date = '2026-11-20' AND kind = 'trade' GROUP BY market, code ORDER BY market, code""",
    "bars": """SELECT code, intDiv(us, 60000000) * 60000000 AS minute, argMin(price, (frame, item)), max(price), min(price),
        argMax(price, (frame, item)), sum(volume)
        FROM trades WHERE date = '2026-11-20' AND kind = 'trade' AND code IN ('005930', '000660', '035420')
        GROUP BY code, minute ORDER BY code, minute""",
}
"""Times as microseconds, in `us`."""


def ask_duckdb(name: str, issue: str, issues: list[str]) -> Rows:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{ZONE}'")
        return connection.execute(document.about(document.question(name, "duckdb"), issue, issues)).fetchall()


VIEWS = {
    "trades": "SELECT count(*), sum(volume) FROM trades",
    "coverage": "SELECT date, feed, from_ts, to_ts, state, reason FROM coverage ORDER BY ALL",
    "gaps": "SELECT date, feed, from_ts, to_ts, reason FROM gaps ORDER BY ALL",
    "bars": "SELECT * FROM bars(DATE '{last}', width := INTERVAL '30 minutes') ORDER BY market, code, from_ts",
    "completeness": "SELECT * FROM completeness(DATE '{last}' - 3, last_day := DATE '{last}') ORDER BY date, market, code",
    "resent": "SELECT * FROM resent(DATE '{last}') ORDER BY ALL",
}
"""A question to each view and macro of krx.sql, of twenty days."""

ISSUE_VIEWS = {
    "registrations": "SELECT * FROM registrations ORDER BY ALL",
    "ticks": "SELECT code, count(*), sum(volume) FROM ticks GROUP BY code ORDER BY code",
    "ticks of an issue": "SELECT count(*), sum(volume) FROM ticks WHERE code = '005930'",
    "quotes of an issue": "SELECT count(*), sum(ask_size) FROM quotes WHERE code = '005930'",
    "derivative_ticks": "SELECT code, count(*), sum(volume) FROM derivative_ticks GROUP BY code ORDER BY code",
    "quotes": "SELECT code, count(*) FROM (SELECT code FROM quotes UNION ALL SELECT code FROM derivative_quotes) GROUP BY code ORDER BY code",
    "books": "SELECT code, count(*) FROM (SELECT code FROM books UNION ALL SELECT code FROM derivative_books) GROUP BY code ORDER BY code",
    "recorded_issues": "SELECT * EXCLUDE (active_s, share) FROM recorded_issues(DATE '{last}') ORDER BY ALL",
    "spread": "SELECT * FROM spread(DATE '{last}', issue := '005930', from_time := '00:00', to_time := '23:59:59') ORDER BY from_ts",
    "depth": "SELECT * EXCLUDE (imbalance) FROM depth(DATE '{last}', issue := '101N6000', levels := 2) ORDER BY frame, item",
    "book_at": "SELECT * FROM book_at('005930', (SELECT max(recv_ts) FROM books WHERE code = '005930')) ORDER BY level",
    "trades_with_quotes": "SELECT * EXCLUDE (side) FROM trades_with_quotes(DATE '{last}', issue := '005930') ORDER BY frame, item",
    "completeness_in_shares": "SELECT date, code, traded, ticks, trades FROM completeness_in_shares(DATE '{last}') ORDER BY code",
    "volume_holes": "SELECT * FROM volume_holes(DATE '{last}') ORDER BY code, to_ts, acc_volume",
    "trd_vol": "SELECT * FROM trd_vol(DATE '{last}')",
}
"""The same, of a day of the per-issue service."""


def ask_view(data: Path, query: str) -> Rows:
    """DuckDB's answer with the views of krx.sql, run from the data directory as an analyst does."""
    import duckdb

    os.chdir(data)
    with duckdb.connect() as connection:
        connection.execute((Path(__file__).resolve().parents[3] / "deploy" / "krx.sql").read_text())
        rows = connection.execute(query).fetchall()
    return [tuple(str(value) if isinstance(value, dt.timedelta) else plain(value) for value in row) for row in rows]


def ask_pandas(name: str, issue: str, issues: list[str]) -> Rows:
    answer = document.run_python(document.about(document.question(name, "pandas"), issue, issues))
    keys = [level for level in answer.index.names if level is not None]
    frame = answer.reset_index() if keys else answer
    return list(zip(*(frame[column].astype(object) for column in frame.columns)))


def ask_polars(name: str, issue: str, issues: list[str]) -> Rows:
    return document.run_python(document.about(document.question(name, "polars"), issue, issues)).rows()


def ask_spark(name: str, issue: str, issues: list[str]) -> Rows:
    session = spark()
    session.read.parquet(str(Path.cwd() / "trades")).createOrReplaceTempView("trades")
    return [tuple(row) for row in session.sql(document.about(SPARK[name], issue, issues)).collect()]


def ask_chdb(name: str, issue: str, issues: list[str]) -> Rows:
    trades = f"""(SELECT *, extract(_path, 'date=([^/]+)') AS date, extract(_path, 'market=([^/]+)') AS market,
        toUnixTimestamp64Micro(toDateTime64(trade_ts, 6)) AS us FROM {clickhouse_file(Path.cwd(), "trades")})"""
    text = document.about(CLICKHOUSE[name], issue, issues).replace("FROM trades", f"FROM {trades}")
    return [tuple(row) for row in clickhouse(text)]


ASK: dict[str, Callable[[str, str, list[str]], Rows]] = {
    "duckdb": ask_duckdb,
    "pandas": ask_pandas,
    "polars": ask_polars,
    "spark": ask_spark,
    "chdb": ask_chdb,
}


def difference(found: Rows, expected: Rows) -> str:
    """Where two answers differ first, or "" where they do not."""
    if len(found) != len(expected):
        return f"{len(found)} rows instead of {len(expected)}"
    for row, (left, right) in enumerate(zip(found, expected)):
        if left != right:
            return f"row {row}: {left!r} instead of {right!r}"
    return ""


def compare(what: str, read: Callable[[], Rows], expected: Rows) -> dict[str, str]:
    """What comes of a reading: `right`, `wrong` or `error`."""
    try:
        found = read()
    except Exception as error:  # noqa: BLE001
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"what": what, "outcome": "error", "detail": f"{type(error).__name__}: {' '.join(lines)[:300]}"}
    wrong = difference(found, expected)
    return {"what": what, "outcome": "wrong" if wrong else "right", "detail": wrong}


def compare_dataset(what: str, reader: str, data: Path, dataset: str, expected: Columns) -> list[dict[str, str]]:
    """A whole dataset; with fastparquet column by column, rows in the order of the files' names."""
    if reader == "fastparquet":
        return [
            compare(f"{what}, {name}", lambda: values(columns, name), [(value,) for value in expected[name]])
            for columns in [fastparquet_columns(data, dataset)]
            for name in COLUMN_NAMES[dataset]
        ]
    return [compare(what, lambda: in_order(COLUMNS[reader](data, dataset), dataset), in_order(expected, dataset))]


def values(columns: Columns, name: str) -> Rows:
    """A column as rows; raises what its reading has raised."""
    for value in columns[name][:1]:
        if isinstance(value, Exception):
            raise value
    return [(value,) for value in columns[name]]


def answer(reader: str, data: Path, question: str, task: dict[str, Any]) -> Rows:
    # The document's examples are run from the data directory.
    os.chdir(data)
    found = ASK[reader](question, task["issue"], task["issues"])
    return [tuple(plain(value) for value in row) for row in found]


def main() -> int:
    """See above."""
    reader = sys.argv[1]
    task = pickle.loads(Path(sys.argv[2]).read_bytes())
    outcomes = []
    for (name, dataset), (data, expected) in task["datasets"].items():
        outcomes += compare_dataset(f"{name} {dataset}", reader, data, dataset, expected)
    # Files of one column, as tests/bench/layout/encodings.py makes them.
    for name, (data, column, expected) in task["columns"].items():
        read = COLUMNS[reader]
        outcomes.append(compare(name, lambda: values(read(data, "trades"), column), [(value,) for value in expected]))
    if reader in ASK:
        outcomes += [
            compare(f"{name} {question}", lambda: answer(reader, data, question, task), expected)
            for name, data in task["days"].items()
            for question, expected in task["answers"].items()
        ]
    if reader == "duckdb":
        outcomes += [
            compare(f"{name} {query}", lambda: ask_view(data, query), expected)
            for (name, query), (data, expected) in task["views"].items()
        ]
    print(json.dumps(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
