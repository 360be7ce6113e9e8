"""`krx-recorder tail` in every format and dataset: what a killed recorder has left is what the next start puts into files."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

import fields
import issues
import readers
from conftest import keep_clear_of_midnight
from processes import Recorder, Simulator, binary, end, wait_until

DATASETS = ("trades", "quarantine", *fields.DATASETS)
RATE = 6000


class Left:
    """A data directory whose recorder was killed, and what `tail` showed of it before another one exported the rest."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.folder = folder
        self.tails: dict[tuple[str, str], bytes] = {}
        self.committed: dict[str, dict[str, int]] = {}

    def tail(self, dataset: str, *options: str) -> bytes:
        command = [binary("KRX_RECORDER", "krx-recorder"), "tail", "--data-dir", str(self.data_dir), "--dataset", dataset]
        return subprocess.run([*command, *options], capture_output=True, timeout=60, check=True).stdout

    def last_frames(self, dataset: str) -> dict[str, int]:
        """The last frame of each feed that files have: those of the feed's first dataset, and those of this one, which may be
        there before the others."""
        last: dict[str, int] = {}
        for path in self.data_dir.glob("[!.]*/date=*/*=*/*.parquet"):
            if path.name.split("-")[0] in ("trades", "ticks", dataset):
                feed = path.parent.name.split("=")[1]
                last[feed] = max(last.get(feed, 0), int(path.stem.split("-")[-1]))
        return last


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    keep_clear_of_midnight()
    folder = tmp_path_factory.mktemp("tail")
    listed = folder / "issues.csv"
    listed.write_text(issues.LISTED)
    arguments = ["--issues", str(listed), "--trades-per-day", "200000", "--seed", "5", "--repeat"]
    arguments += ["--rate", str(RATE // 2), "--per-issue-rate", str(RATE), "--fault", "garbage@every:40:badrecord"]
    simulator = Simulator(folder / "ledger.jsonl", arguments)
    left = Left(folder)
    try:
        recorder = Recorder(folder, simulator.url, "\n" + issues.tables())
        try:
            # A file is committed each second: what has come since then is the tail.
            wait_until(lambda: has_files(left.data_dir), 120, "each dataset has files", recorder.check_running)
        finally:
            recorder.process.kill()
            recorder.process.wait()
    finally:
        simulator.stop()
    left.committed = {dataset: left.last_frames(dataset) for dataset in DATASETS}
    for dataset in DATASETS:
        for how in ("ndjson", "csv", "arrow", "table"):
            left.tails[dataset, how] = left.tail(dataset, "--format", how)
        file = folder / f"{dataset}.parquet"
        left.tail(dataset, "--output", str(file))
        left.tails[dataset, "parquet"] = file.read_bytes()
    # Another one exports the journal, and cannot connect.
    config = folder / "krx-recorder.toml"
    again = subprocess.Popen(
        [binary("KRX_RECORDER", "krx-recorder"), "run", "--config", config],
        env={"KRX_API_KEY": "a-key", "PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        before = left.committed["trades"]
        wait_until(
            lambda: all(frame > before.get(feed, 0) for feed, frame in left.last_frames("trades").items()), 60, "more is exported"
        )
    finally:
        end(again)
    yield left


def has_files(data_dir: Path) -> bool:
    """Whether something of every dataset has come, which takes until everything is registered."""
    return all(len(list(data_dir.glob(f"{dataset}/date=*/*/*.parquet"))) > 1 for dataset in DATASETS)


def in_files(left: Left, dataset: str) -> list[dict[str, Any]]:
    """The rows that went to files after the tail was shown."""
    key = readers.key(dataset)
    with readers.duckdb_connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Seoul'")
        relation = readers.duckdb_relation(left.data_dir, dataset)
        table = connection.sql(f"SELECT * FROM {relation} ORDER BY {key}, frame, item NULLS FIRST").to_arrow_table()
    return [row for row in table.to_pylist() if row["frame"] > left.committed[dataset].get(row[key], 0)]


def text(value: Any) -> Any:
    """A value as `tail` prints it."""
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def by_place(rows: list[dict[str, Any]], dataset: str) -> list[dict[str, Any]]:
    key = readers.key(dataset)
    return sorted(rows, key=lambda row: (row[key], row["frame"], -1 if row["item"] is None else row["item"]))


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_tail_has_the_rows_that_files_get(dataset: str, left: Left) -> None:
    expected = in_files(left, dataset)
    stream = pa.ipc.open_stream(left.tails[dataset, "arrow"]).read_all()
    file = pq.read_table(io.BytesIO(left.tails[dataset, "parquet"]))
    for table in (stream, file):
        assert by_place(table.to_pylist(), dataset) == by_place(expected, dataset)
    assert stream.column_names == file.column_names
    printed = [{name: text(value) for name, value in row.items()} for row in expected]
    lines = [json.loads(line) for line in left.tails[dataset, "ndjson"].splitlines()]
    for row in lines:
        for name in ("trade_ts", "order_ts"):
            if row.get(name):
                row[name] = row[name].replace("+09:00", "000+09:00")
    assert by_place(lines, dataset) == by_place(printed, dataset)
    read = list(csv.DictReader(io.StringIO(left.tails[dataset, "csv"].decode())))
    assert len(read) == len(expected)
    assert [set(row) for row in read[:1]] == [set(stream.column_names)] * len(read[:1])
    table_lines = left.tails[dataset, "table"].decode().splitlines()
    assert len(table_lines) == (len(expected) + 1 if expected else 0)


def test_most_datasets_have_a_tail(left: Left) -> None:
    """It may have been killed just after a file was committed, and before more of a rare kind came."""
    assert sum(bool(left.tails[dataset, "ndjson"]) for dataset in DATASETS) >= 7


def test_duckdb_reads_a_tail_beside_the_files(left: Left) -> None:
    """The union of what was listed before and the tail is each record once."""
    trades = f"read_parquet('{left.data_dir}/trades/**/*.parquet', hive_partitioning = true)"
    listed = " OR ".join(f"(market = '{feed}' AND frame <= {last})" for feed, last in left.committed["trades"].items())
    union = (
        f"SELECT market, frame, item FROM {trades} WHERE {listed} UNION ALL "
        f"SELECT market, frame, item FROM '{left.folder}/trades.parquet'"
    )
    [(total, distinct)] = duckdb.sql(f"SELECT count(*), count(DISTINCT (market, frame, item)) FROM ({union})").fetchall()
    [(expected,)] = duckdb.sql(f"SELECT count(*) FROM {trades}").fetchall()
    assert total == distinct == expected > 1000


def views(left: Left, *tails: str) -> duckdb.DuckDBPyConnection:
    """A connection with the views of the recorder, and with tails."""
    command = [binary("KRX_RECORDER", "krx-recorder"), "sql", "--data-dir", str(left.data_dir)]
    for dataset in tails:
        command += ["--tail", str(left.folder / f"{dataset}.parquet")]
    printed = subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout
    connection = duckdb.connect()
    connection.execute(printed)
    return connection


def in_view(connection: duckdb.DuckDBPyConnection, dataset: str, where: str = "true") -> pa.Table:
    """The rows of a dataset, with snapshots and copies."""
    view = dataset if dataset in ("trades", "quarantine", "indices", "changes") else f"recorded_{dataset}"
    key = readers.key(dataset)
    return connection.sql(f"FROM {view} WHERE {where} ORDER BY date, {key}, frame, item NULLS FIRST").to_arrow_table()


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_views_have_each_record_of_a_tail_once(dataset: str, left: Left, tmp_path: Path) -> None:
    """Beside the files of its time, beside those of later, in which its records are too, and beside a part of them."""
    key = readers.key(dataset)
    with views(left) as connection:
        expected = in_view(connection, dataset)
    older = Left(tmp_path)
    shutil.copytree(left.data_dir, older.data_dir)
    for file in older.data_dir.glob(f"{dataset}/date=*/{key}=*/*.parquet"):
        if int(file.stem.split("-")[2]) > left.committed[dataset].get(file.parent.name.split("=")[1], 0):
            file.unlink()
    shutil.copy(left.folder / f"{dataset}.parquet", tmp_path)
    with views(older) as connection:
        before = in_view(connection, dataset)
    [file] = [pq.read_table(tmp_path / f"{dataset}.parquet")]
    assert before.num_rows + file.num_rows == expected.num_rows
    with views(left, dataset) as later, views(older, dataset) as now:
        for connection in (later, now):
            found = in_view(connection, dataset)
            assert found.schema == expected.schema
            assert found == expected
        # A tail that ended earlier, or was filtered, and more than it has is in files meanwhile.
        half = file.filter(pc.equal(pc.bit_wise_and(file["frame"], 1), 0)).slice(0, file.num_rows // 3)
        write_tail(half, left.folder / f"{dataset}.parquet", dataset)
        assert in_view(later, dataset) == expected
        # None of it, which is as if there were no tail.
        write_tail(file.slice(0, 0), left.folder / f"{dataset}.parquet", dataset)
        write_tail(file.slice(0, 0), tmp_path / f"{dataset}.parquet", dataset)
        assert in_view(later, dataset) == expected
        assert in_view(now, dataset) == before
    write_tail(file, left.folder / f"{dataset}.parquet", dataset)


def write_tail(rows: pa.Table, path: Path, dataset: str) -> None:
    """As `krx-recorder tail --output` would write these rows."""
    pq.write_table(rows.replace_schema_metadata({"krx.dataset": dataset}), path)


def test_a_condition_reaches_the_files_beside_a_tail(left: Left) -> None:
    with views(left, "trades") as connection:
        [(code, date)] = connection.execute("SELECT code, date FROM trades LIMIT 1").fetchall()
        explain = "EXPLAIN (ANALYZE, FORMAT json) FROM trades WHERE"
        plan = connection.execute(f"{explain} code = '{code}'").fetchall()[0][1]
        assert plan.replace(" ", "").replace('"', "").count(f"code='{code}'") >= 2, "of the files and of the tail"
        plan = connection.execute(f"{explain} date = DATE '{date}' - 1").fetchall()[0][1]
        opened = [int(count) for count in re.findall(r'"Total Files Read": "(\d+)"', plan)]
        assert sum(opened) <= 1, "the tail alone"


def test_what_is_no_tail_is_refused(left: Left, tmp_path: Path) -> None:
    trades = left.folder / "trades.parquet"
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"code": ["005930"]}), plain)
    again = tmp_path / "again.parquet"
    shutil.copy(trades, again)
    text = tmp_path / "text.parquet"
    text.write_text("no Parquet")
    for files, code, word in (
        ([plain], 64, "is not a file that krx-recorder tail --output wrote"),
        ([trades, again], 64, "are both of trades"),
        ([tmp_path / "absent.parquet"], 74, "write it with krx-recorder tail --output"),
        ([text], 74, "reading the tail"),
    ):
        command = [binary("KRX_RECORDER", "krx-recorder"), "sql", "--data-dir", str(left.data_dir)]
        command += [option for file in files for option in ("--tail", str(file))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (code, ""), files
        assert word in done.stderr
