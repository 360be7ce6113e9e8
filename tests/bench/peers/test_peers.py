"""The comparison is honest only if every peer does the whole work: each must give the same rows as a plain loop."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# The oracle of the readers' tests, which no peer uses.
sys.path.append(str(Path(__file__).parents[2] / "readers"))

import compare
import fields
import peers
import pushes
import report
from schema import SCHEMA, SIGNALS

DATE = dt.date(2026, 11, 20)
KST = dt.timezone(dt.timedelta(hours=9))
TIMES = [
    "09000012",
    "15301599",
    "00000001",
    "23595999",
    "24000000",
    "09600000",
    "09006000",
    "99000000",
    *map(str, SIGNALS),
]
"""Leading zeros, the first and last clock times, the first values past them, and every signal."""

SCRIPT = Path(peers.__file__)


def frames(count: int) -> list[list[dict[str, str]]]:
    """Frames of every length from 1 to 50, with every value of `TIMES`."""
    made = []
    for number in range(count):
        made.append(
            [
                {
                    "isuSrtCd": ("005930", "00088K", "Q500061", "J0527101G")[(number + item) % 4],
                    "trdPrc": str(81_000 + item),
                    "trdVol": str(number * item + 1),
                    "trdTm": TIMES[(number * 50 + item) % len(TIMES)],
                }
                for item in range(number % 50 + 1)
            ]
        )
    return made


def time_of(trade_time: int) -> dict[str, Any]:
    """What follows from `trdTm`, the slow and obvious way."""
    digits = f"{trade_time:08}"
    try:
        clock = dt.datetime.strptime(digits[:6], "%H%M%S").time() if trade_time > 0 else None
    except ValueError:
        clock = None
    trade_ts = None
    if clock is not None:
        trade_ts = dt.datetime.combine(DATE, clock, KST) + dt.timedelta(milliseconds=10 * int(digits[6:]))
    kind = "trade" if clock else SIGNALS.get(trade_time, "unknown_signal")
    return {"trade_ts": trade_ts, "trade_time": trade_time, "kind": kind}


def place_of(frame: int, item: int) -> dict[str, Any]:
    """The columns that do not come from the record."""
    recv_ts = dt.datetime(2026, 11, 20, 9, tzinfo=KST) + dt.timedelta(milliseconds=frame)
    return {"recv_ts": recv_ts, "frame": frame, "item": item, "session": 1}


def row(record: dict[str, str], frame: int, item: int) -> dict[str, Any]:
    """One record by the rules, the slow and obvious way."""
    return {
        "code": record["isuSrtCd"],
        "price": int(record["trdPrc"]),
        "volume": int(record["trdVol"]),
        **time_of(int(record["trdTm"])),
        **place_of(frame, item),
    }


def tick(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `params` of a trade, and its row. Every time, side and kind of change, known or not; a quote with some."""
    trade_time, change_kind, side = int(TIMES[number % len(TIMES)]), number % 11, number % 4
    names = dict(enumerate(fields.CHANGE_KINDS, start=1))
    params = {
        "preset": "tick10",
        "isuSrtCd": ("005930", "00088K")[number % 2],
        "cmpprevddTpCd": change_kind,
        "cmpprevddPrc": number - 500,
        "opnprc": 80_000,
        "hgprc": 82_000 + number,
        "lwprc": 79_000 - number,
        "trdPrc": 81_000 + number,
        "trdvol": number,
        "accTrdvol": number * 10,
        "accTrdval": number * 10**12,
        "lstAskbidTpCd": side,
        "trdTm": trade_time,
    }
    best = {"askordPrc_1": 81_100 + number, "bidordPrc_1": 81_000} if number % 3 == 0 else {}
    expected = {
        "code": params["isuSrtCd"],
        "preset": "tick10",
        "price": 81_000 + number,
        "volume": number,
        "acc_volume": number * 10,
        "acc_value": number * 10**12,
        "open": 80_000,
        "high": 82_000 + number,
        "low": 79_000 - number,
        "change": number - 500,
        "change_kind": names.get(change_kind),
        "side": {1: "sell", 2: "buy"}.get(side),
        "ask_price": best.get("askordPrc_1"),
        "bid_price": best.get("bidordPrc_1"),
        **time_of(trade_time),
    }
    return params | best, expected


def book(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `params` of a book, and its row: no two values are the same, and now and then a level is missing."""
    params: dict[str, Any] = {"preset": "quote10", "isuSrtCd": ("005930", "00088K")[number % 2]}
    expected: dict[str, Any] = {"code": params["isuSrtCd"], "kind": "update"}
    for place, (name, key) in enumerate(fields.FIELDS["books"].items()):
        if (number + place) % 37:
            params[key] = expected[name] = number * 100 + place
    return params, expected


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A frames file of several groups, and the Parquet file that it must become."""
    folder = tmp_path_factory.mktemp("peers")
    source, expected = folder / "frames.jsonl", folder / "expected.parquet"
    made = frames(1100)
    source.write_text("".join(json.dumps(frame, separators=(",", ":")) + "\n" for frame in made))
    rows = [
        row(record, number, item) for number, frame in enumerate(made, start=1) for item, record in enumerate(frame)
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), expected)
    return source, expected


@pytest.mark.parametrize("peer", peers.PEERS)
def test_every_peer_gives_the_same_rows(peer: str, sample: tuple[Path, Path], tmp_path: Path) -> None:
    source, expected = sample
    out = tmp_path / "out.parquet"
    command = [sys.executable, str(SCRIPT), "seal", peer]
    command += ["--frames", str(source), "--out", str(out), "--repeat", "2"]
    line = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    assert line["peer"] == f"{peer} seal"
    assert line["records"] == pq.read_metadata(expected).num_rows
    assert line["bytes"] == out.stat().st_size
    assert len(line["runs"]) == 2
    assert compare.differences(expected, out) == []


@pytest.fixture(scope="module", params=["ticks", "books"])
def pushed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """A dataset, a file of its pushes in several groups, and the Parquet file that it must become."""
    of: str = request.param
    folder = tmp_path_factory.mktemp(of)
    source, expected = folder / "frames.jsonl", folder / "expected.parquet"
    made = [{"ticks": tick, "books": book}[of](number) for number in range(2 * pushes.GROUP_FRAMES + 7)]
    messages = [{"jsonrpc": "2.0", "method": "push", "params": params} for params, _ in made]
    source.write_text("".join(json.dumps(message, separators=(",", ":")) + "\n" for message in messages))
    rows = [found | place_of(frame, 0) for frame, (_, found) in enumerate(made, start=1)]
    pq.write_table(pa.Table.from_pylist(rows, pushes.SCHEMAS[of]), expected)
    return of, source, expected


@pytest.mark.parametrize("peer", peers.DO_PUSHES)
def test_every_peer_gives_the_same_rows_of_pushes(peer: str, pushed: tuple[str, Path, Path], tmp_path: Path) -> None:
    of, source, expected = pushed
    out = tmp_path / "out.parquet"
    command = [sys.executable, str(SCRIPT), "seal", peer, "--of", of]
    command += ["--frames", str(source), "--out", str(out), "--repeat", "1"]
    line = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    assert line["peer"] == f"{peer} seal-{of}"
    assert line["records"] == pq.read_metadata(expected).num_rows
    assert compare.differences(expected, out, schema=pushes.SCHEMAS[of]) == []


def test_a_peer_that_does_not_do_pushes_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "seal", "polars", "--of", "books", "--frames", "none", "--out", "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "peers: polars does not do books: choose one of orjson-pyarrow, orjson-pyarrow-plain, duckdb\n"


@pytest.mark.parametrize("column", SCHEMA.names)
def test_a_changed_value_is_a_difference(column: str, sample: tuple[Path, Path], tmp_path: Path) -> None:
    _, expected = sample
    table = pq.read_table(expected)
    values = table[column].to_pylist()
    # `frame` and `item` give the order: a value of its own keeps the changed row where it was.
    values[-1] = {"code": "000000", "kind": "block_after", "frame": 999_999, "item": 99}.get(column) or (
        dt.datetime(2026, 11, 20, 12, tzinfo=KST) if column.endswith("_ts") else 7
    )
    position = table.schema.get_field_index(column)
    changed = table.set_column(position, SCHEMA.field(column), pa.array(values, SCHEMA.field(column).type))
    pq.write_table(changed, tmp_path / "changed.parquet")
    found = compare.differences(expected, tmp_path / "changed.parquet")
    assert [line.split(":")[0] for line in found] == [column]
    assert compare.differences(expected, tmp_path / "changed.parquet", [column]) == []


def test_a_missing_row_is_a_difference(sample: tuple[Path, Path], tmp_path: Path) -> None:
    _, expected = sample
    pq.write_table(pq.read_table(expected).slice(1), tmp_path / "short.parquet")
    assert compare.differences(expected, tmp_path / "short.parquet")[0].startswith("rows: ")


def test_the_report_takes_the_best_run_and_gives_ratios() -> None:
    lines = [
        '{"peer":"krx seal","records":1000,"seconds":0.1,"records_per_second":10000,"bytes":4300}',
        '{"peer":"duckdb seal","records":1000,"seconds":1,"records_per_second":1000,"bytes":9000}',
        '{"peer":"duckdb seal","records":1000,"seconds":0.5,"records_per_second":2000,"bytes":9000}',
        "a word from another program",
    ]
    text = report.table("seal", report.parse(lines)["seal"])
    assert "| **krx** | 10,000 | 1.0 | – | 4.3 |" in text
    assert "| duckdb | 2,000 | 5.0 | – | 9.0 |" in text
