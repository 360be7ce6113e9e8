"""The Python package `krxdata`, from its source: every loader against the ledger, beside a recorder and across a seal."""

from __future__ import annotations

import datetime as dt
import http.client
import http.server
import io
import json
import random
import re
import shutil
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import issues
import krxdata_source
from conftest import IssueRecording, Recording, keep_clear_of_midnight, seal_every_date
from days import GAP, LAST, Days
from processes import ROOT, Recorder, Simulator, binary, end, free_port, wait_until
from test_views import BEFORE, DAY, VIEWS, Made, expected_bars, expected_completeness, korean, made, order

import krxdata
from krxdata import _arguments, _datasets, _incomplete, _newest

STOCKS = ("ticks", "quotes", "books")
DERIVATIVES = ("derivative_ticks", "derivative_quotes", "derivative_books")
RATE = 3000

__all__ = ["made"]


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is that of the build, or the one that came with the installed package."""
    if krxdata_source.IS_INSTALLED and _newest.program():
        return
    monkeypatch.setattr(_newest, "program", lambda: binary("KRX_RECORDER", "krx-recorder"))


def rows_of(relation: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    return relation.to_arrow_table().to_pylist()


def test_the_description_of_the_datasets_is_the_recorders() -> None:
    command = [binary("KRX_RECORDER", "krx-recorder"), "schema", "--json"]
    described = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    package = ROOT / "crates" / "krx-python" / "python" / "krxdata"
    assert json.loads((package / "datasets.json").read_bytes()) == json.loads(described)
    assert (package / "krx.sql").read_text() == VIEWS


def test_the_version_is_that_of_the_recorder() -> None:
    said = subprocess.run([binary("KRX_RECORDER", "krx-recorder"), "--version"], check=True, capture_output=True, text=True)
    assert said.stdout.split()[1] == krxdata.__version__


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_trades_are_those_of_the_ledger_in_order(recording: Recording) -> None:
    data, expected = krxdata.open(recording.data_dir), recording.expected.trades
    names = [name for name in expected.schema.names if name not in ("date", "market")]
    by_code: dict[str, list[dict[str, Any]]] = {}
    for row in expected.to_pylist():
        by_code.setdefault(row["code"], []).append({name: row[name] for name in names})
    for code, rows in list(by_code.items())[:40]:
        found = rows_of(data.trades(code, recording.expected.date, kinds=None))
        assert [{name: row[name] for name in names} for row in found] == rows
    count, trades = len(expected), expected["kind"].to_pylist().count("trade")
    assert 0 < trades < count
    assert data.trades(kinds=None).aggregate("count(*)").fetchall() == [(count,)]
    everything = data.trades(first=recording.expected.date)
    assert everything.aggregate("count(*)").fetchall() == [(trades,)]
    for market in ("KOSPI", "KOSDAQ"):
        places = everything.filter(f"market = '{market}'").project("frame, item").fetchall()
        assert places == sorted(places), "between markets the clock decides, within one the order of arrival"


def truth_of(expected: issues.Expected, dataset: str) -> list[dict[str, Any]]:
    """Rows without snapshots; trades that both presets pushed are there once, as `tick10` told them."""
    rows = [row for row in expected.tables[dataset].to_pylist() if row["kind"] != "snapshot"]
    if not dataset.endswith("ticks"):
        return rows
    kept: list[dict[str, Any]] = []
    for code in dict.fromkeys(row["code"] for row in rows):
        of_code = [row for row in rows if row["code"] == code]
        have_totals = all(row["acc_volume"] is not None for row in of_code)
        counts: dict[tuple[Any, ...], dict[str, int]] = {}
        ten, one = ([row for row in of_code if row["preset"] == preset] for preset in ("tick10", "tick"))
        for row in [*ten, *one]:
            same = (row["trade_time"], row["price"], row["volume"], row["acc_volume"] if have_totals else None)
            seen = counts.setdefault(same, {"tick10": 0, "tick": 0})
            seen[row["preset"]] += 1
            if row["preset"] == "tick10" or seen["tick"] > seen["tick10"]:
                kept.append(row)
    return sorted(kept, key=lambda row: (row["frame"], row["item"]))


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
@pytest.mark.parametrize("how", ["recorded", "sealed"])
@pytest.mark.parametrize("dataset", [*STOCKS, *DERIVATIVES, "indices"])
def test_per_issue_rows_are_those_of_the_ledger(issue_recording: IssueRecording, how: str, dataset: str) -> None:
    data, expected = krxdata.open(issue_recording.data_dirs[how]), issue_recording.expected
    load = getattr(data, dataset)
    options = {"kinds": None} if dataset.endswith("ticks") else {}
    truth = truth_of(expected, dataset)
    assert len(truth) > 50
    names = expected.tables[dataset].schema.names
    for code in dict.fromkeys(row["code"] for row in truth):
        found = rows_of(load(code, **options))
        assert [{name: row[name] for name in names} for row in found] == [row for row in truth if row["code"] == code]
    found = rows_of(load(first=data.days().fetchall()[0][0], **options))
    assert len(found) == len(truth)


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
@pytest.mark.parametrize("seed", range(3))
def test_bars_and_completeness_are_those_of_plain_python(tmp_path: Path, seed: int) -> None:
    """On an ordinary day and on that of the CSAT, whose hours are an hour later, with stretches that were not recorded."""
    made, dice = Made(tmp_path / "data"), random.Random(seed)
    hours = {DAY: ("09:00", "15:30"), BEFORE: ("10:00", "16:30")}
    for date, (opens, closes) in hours.items():
        begin, length = korean(date, opens), int((korean(date, closes) - korean(date, opens)).total_seconds())
        for market in ("KOSPI", "KOSDAQ"):
            # Some are before the open or after the close.
            clocks = sorted(dice.randrange(-1800, length + 10_000) for _ in range(60))
            times = [begin + dt.timedelta(seconds=at) for at in clocks]
            made.trades(date, market, *((dice.choice("ABC"), f"{at:%H:%M:%S}", 100 + nth, nth + 1) for nth, at in enumerate(times)))
            cuts = sorted(dice.sample(range(length), 5))
            borders = ["00:00", *(f"{begin + dt.timedelta(seconds=at):%H:%M:%S}" for at in cuts), "24:00"]
            states = [dice.choice(["live", "live", "gap"]) for _ in borders]
            made.coverage(date, market, *zip(borders, borders[1:], states, strict=False))
    data = krxdata.open(made.data_dir)
    columns = ("market", "code", "from_ts", "records", "volume", "open", "close", "complete")
    for width, width_s in (("1min", 60), (dt.timedelta(minutes=7), 420), ("1h", 3600)):
        found = data.bars(None, BEFORE, DAY, width=width)
        for date, (opens, closes) in hours.items():
            rows = [tuple(row[name] for name in columns) for row in rows_of(found) if row["date"] == date]
            assert sorted(rows, key=order) == expected_bars(made, date, opens, closes, width_s, 0)
    for session, (begins, ends) in [
        ("after", ({DAY: "15:40", BEFORE: "16:40"}, "20:00")),
        ("all", ({DAY: "09:00", BEFORE: "10:00"}, "20:00")),
        (("09:30", dt.time(11, 0)), ({DAY: "09:30", BEFORE: "09:30"}, "11:00")),
    ]:
        found = data.bars(["A", "C"], str(BEFORE), "20261120", width="30min", session=session)
        for date, begin in begins.items():
            rows = [tuple(row[name] for name in columns) for row in rows_of(found) if row["date"] == date]
            expected = [row for row in expected_bars(made, date, begin, ends, 1800, 0) if row[1] in "AC"]
            assert sorted(rows, key=order) == expected
    delayed = [tuple(row[name] for name in columns) for row in rows_of(data.bars("B", DAY, width="20s", delay="45s"))]
    assert sorted(delayed, key=order) == [row for row in expected_bars(made, DAY, "09:00", "15:30", 20, 45) if row[1] == "B"]
    columns = ("date", "market", "code", "records", "missing_s")
    found = [tuple(row[name] for name in columns) for row in rows_of(data.completeness(None, DAY))]
    assert sorted(found, key=order) == expected_completeness(made, DAY, DAY, "09:00", "15:30")


def test_what_is_not_complete_is_said_once(twenty_days: Days) -> None:
    data = krxdata.open(twenty_days.data_dir)
    code = twenty_days.issues[0]
    date, feed, _, _ = GAP
    with pytest.warns(krxdata.IncompleteWarning, match=f"{feed} on {date} lacks 100 s") as caught:
        relation = data.trades(code, date)
    assert caught[0].filename == __file__, "it points at the line that asked"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(rows_of(relation)) == sum(row["code"] == code and row["date"] == date for row in twenty_days.trades)
        data.trades(code, date)
        data.bars(code, date)
        data.trades(code, LAST - dt.timedelta(days=1))
    gaps = rows_of(data.gaps(date, feeds=feed))
    assert [(row["to_ts"] - row["from_ts"]).total_seconds() for row in gaps if row["reason"] != "start"] == [100]


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_rows_are_sorted_whatever_their_order_in_files(made: Made) -> None:
    """There, the last is the first, and a frame has two items."""
    data = krxdata.open(made.data_dir)
    for market in ("KOSPI", "KOSDAQ"):
        rows = rows_of(data.trades(None, DAY, kinds=None).filter(f"market = '{market}'"))
        places = [(row["frame"], row["item"]) for row in rows]
        assert places == sorted(places) and len(places) > 2
        in_file = pq.read_table(made.data_dir / "trades" / f"date={DAY}" / f"market={market}" / "trades.parquet")
        assert [row["item"] for row in rows] == in_file["item"].to_pylist()[::-1]


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_coverage_and_registrations_have_all_their_columns(issue_recording: IssueRecording) -> None:
    data = krxdata.open(issue_recording.data_dirs["recorded"])
    for name, ask in (("coverage", data.coverage), ("registrations", data.registrations)):
        names = ["date", "feed", *(column for column, _ in _datasets.DATASETS[name].columns)]
        rows = rows_of(ask().project(", ".join(names)))
        assert list(rows[0]) == ask().columns == names
        everything = rows_of(data.sql(f"SELECT {', '.join(names)} FROM {name}"))
        assert sorted(rows, key=str) == sorted(everything, key=str) and len(rows) > 2


def test_an_error_in_place_of_a_warning_comes_each_time(twenty_days: Days) -> None:
    data = krxdata.open(twenty_days.data_dir)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(krxdata.IncompleteWarning, match="lacks 100 s"):
                data.trades(first=LAST)


def test_dates_without_a_word_are_named(twenty_days: Days, tmp_path: Path) -> None:
    before = days_of_record(twenty_days)[0] - dt.timedelta(days=7)
    data = krxdata.open(twenty_days.data_dir)
    with pytest.warns(krxdata.IncompleteWarning, match=f"nothing is on record for {before}; .* days\\(\\) has .* to {LAST}"):
        data.trades("A", before, LAST - dt.timedelta(days=1))
    with pytest.warns(krxdata.IncompleteWarning, match="2035-06-04 is yet to come"):
        assert rows_of(data.bars("A", "2035-06-04")) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Weekends and holidays: KRX was closed.
        data.bars("A", "2026-11-14", "2026-11-15")
        data.bars("A", "2026-09-25")
        data.completeness("A", LAST - dt.timedelta(days=20), LAST)
    # A day in the middle of which every trace is lost.
    lost, folder = LAST - dt.timedelta(days=1), tmp_path / "data"
    for dataset in ("trades", "coverage"):
        shutil.copytree(twenty_days.data_dir / dataset, folder / dataset, ignore=shutil.ignore_patterns(f"date={lost}"))
    with pytest.warns(krxdata.IncompleteWarning, match=f"nothing is on record for {lost}"):
        krxdata.open(folder).completeness("A", lost)
    with pytest.warns(krxdata.IncompleteWarning, match="no ticks in files"):
        assert rows_of(data.ticks("A", LAST)) == []
    with pytest.warns(krxdata.IncompleteWarning, match="when a date is sealed, and these are not: .*, and 17 more.*krx-recorder seal"):
        assert rows_of(data.daily("000000")) == []
    for ask in (data.gaps, data.coverage, lambda date: data.daily("000000", date), lambda date: data.registrations(None, date)):
        data._incomplete._said.clear()
        with pytest.warns(krxdata.IncompleteWarning, match=f"nothing is on record for {before}"):
            ask(before)


def test_a_feed_that_is_missing_on_a_date_is_named(twenty_days: Days, tmp_path: Path) -> None:
    lost, folder = LAST - dt.timedelta(days=1), tmp_path / "data"
    for dataset in ("trades", "coverage"):
        shutil.copytree(twenty_days.data_dir / dataset, folder / dataset)
        shutil.rmtree(next((folder / dataset / f"date={lost}").glob("*=KOSDAQ")))
    data = krxdata.open(folder)
    with pytest.warns(krxdata.IncompleteWarning, match=f"nothing is on record for KOSDAQ on {lost}"):
        data.trades(first=lost)
    data._incomplete._said.clear()
    with pytest.warns(krxdata.IncompleteWarning, match=f"nothing is on record for KOSDAQ on {lost}"):
        data.completeness(None, lost)


def test_what_is_missing_later_is_said_again(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that stays open from the morning on."""
    monkeypatch.setattr(krxdata._calendar, "today", lambda: DAY)
    data = krxdata.open(made.data_dir)
    made.trades(DAY, "KOSDAQ", ("B", "09:10:00", 1, 1))
    made.trades(DAY, "KOSPI", ("A", "09:10:00", 1, 1))
    made.coverage(DAY, "KOSDAQ", ("00:00", "24:00", "live"))
    for known, gap, words in (
        ("09:30:00", None, "known up to 09:30:00. See"),
        ("13:00:00", ("10:00:00", "11:00:00"), "known up to 13:00:00, and lacks 3,600 s until then"),
        ("24:00", ("10:00:00", "12:00:00"), "KOSPI on 2026-11-20 lacks 7,200 s"),
    ):
        stretches = [("00:00", known, "live")]
        if gap:
            stretches = [("00:00", gap[0], "live"), (*gap, "gap"), (gap[1], known, "live")]
        made.coverage(DAY, "KOSPI", *stretches)
        with pytest.warns(krxdata.IncompleteWarning, match=words):
            data.trades("A", DAY)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data.trades("A", DAY)


def test_what_spans_cover_together_counts_once() -> None:
    """As when two feeds register an issue, one after the other or at once."""
    for spans, length in (([], 0), ([(5, 9)], 4), ([(5, 9), (0, 5)], 9), ([(0, 8), (2, 3), (5, 9)], 9), ([(0, 1), (3, 4)], 2)):
        assert _incomplete.length_of(spans) == length


def test_absences_are_of_trading_days_and_of_feeds_that_were_there_before() -> None:
    thursday, friday, monday = (dt.date(2026, 11, day) for day in (12, 13, 16))
    known = {(thursday, "KOSPI"), (friday, "KOSPI"), (friday, "KOSDAQ"), (monday, "KOSPI")}

    def absences(first: dt.date, last: dt.date, feeds: list[str] | None = None) -> tuple[list[str], list[str]]:
        absent, to_come = _incomplete.absences(_arguments.Dates(first, last), known, feeds, dt.date(2026, 11, 18))
        return list(absent.values()), list(to_come.values())

    assert absences(thursday, monday) == (["KOSDAQ on 2026-11-16"], []), "KOSDAQ began on Friday, and nobody trades on Saturday"
    assert absences(thursday, monday, ["KOSPI"]) == ([], [])
    assert absences(dt.date(2026, 11, 11), thursday) == (["2026-11-11"], [])
    assert absences(dt.date(2026, 11, 17), dt.date(2026, 11, 19)) == (["2026-11-17", "2026-11-18"], ["2026-11-19"])


def test_issues_that_were_not_registered_are_named(issue_recording: IssueRecording, monkeypatch: pytest.MonkeyPatch) -> None:
    data = krxdata.open(issue_recording.data_dirs["recorded"])
    date = issue_recording.markets.date
    # The hours of the recording, which are not those of the exchange.
    begin, end = data.sql("SELECT strftime(timezone('Asia/Seoul', min(from_ts)), '%H:%M:%S.%f'), strftime(timezone('Asia/Seoul', max(to_ts)), '%H:%M:%S.%f') FROM active").fetchall()[0]
    data.connection.execute(f"CREATE OR REPLACE TEMP VIEW special_hours AS SELECT DATE '{date}' AS date, TIME '{begin}' AS opens, TIME '{end}' AS closes")
    for load, code, words in (
        (data.ticks, "035720", f"registered for ticks all the time: 035720 on {date}, not at all"),
        (data.books, "035720", f"registered for books all the time: 035720 on {date}, not at all"),
        (data.quotes, [issues.STOCKS[0], "035720"], f"035720 on {date}, not at all"),
    ):
        with pytest.warns(krxdata.IncompleteWarning, match=words):
            load(code, date)


class Response(io.BytesIO):
    headers: dict[str, str]


class Hour:
    """An answer to `follow=true` that ended because its hour was over."""

    def __init__(self, frames: range) -> None:
        rows = pa.table({"date": pa.array([DAY] * len(frames)), "frame": pa.array(frames, pa.int64())})
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, rows.schema) as writer:
            writer.write_table(rows)
        self.response = Response(stream.getvalue().to_pybytes())
        # Those that were there when it began.
        self.response.headers = {"krx-frames": f"{DAY}:{frames[0]}-{frames[0]}" if frames else ""}

    def wait_for_ever(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("is_busy", [False, True])
def test_after_an_hour_it_goes_on_after_the_last_frame(made: Made, monkeypatch: pytest.MonkeyPatch, is_busy: bool) -> None:
    asked = []

    def open_(self: _newest.Newest, dataset: Any, feed: str, codes: Any, **more: str) -> Hour:
        asked.append(more)
        if len(asked) == 1:
            return Hour(range(3, 6))
        if len(asked) == 2:
            return Hour(range(6, 6))
        raise (krxdata.RecorderError if is_busy else _newest.NoRecorderError)("four tails are being sent")

    monkeypatch.setattr(_newest.Newest, "_open", open_)
    monkeypatch.setattr(_newest, "ANSWER_ENDS_S", 0)
    newest = _newest.Newest(made.data_dir, "localhost:9464", None)
    batches = newest._follow_feed(_datasets.DATASETS["trades"], "KOSPI", None, [], threading.Event())
    found = next(batches)["frame"].to_pylist()
    if is_busy:
        with pytest.raises(krxdata.RecorderError, match="four tails"):
            list(batches)
    else:
        assert list(batches) == [], "it was stopped"
    assert found == [3, 4, 5]
    assert asked == [{"follow": "true"}, {"follow": "true", "after": f"{DAY}:5"}, {"follow": "true", "after": f"{DAY}:5"}]


def test_what_is_no_recorder_is_an_error_that_helps(made: Made, tmp_path: Path) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for status, words in (
            (f"127.0.0.1:{server.server_port}", "is no krx-recorder"),
            ("localhost:abc", "no recorder answers at localhost:abc"),
            ("localhost:9464/metrics", "no recorder answers at localhost:9464/metrics"),
            ("a..b:9464", "no recorder answers at"),
        ):
            data = krxdata.open(made.data_dir, status=status)
            for ask in (lambda: data.trades(live=True), lambda: next(data.follow())):
                with pytest.raises(krxdata.RecorderError, match=words):
                    ask()
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(krxdata.RecorderError, match="has files only, and no journal"):
        krxdata.open(made.data_dir).trades(live=True)


def days_of_record(twenty_days: Days) -> list[dt.date]:
    return sorted({row["date"] for row in twenty_days.trades})


def test_the_warning_points_to_whoever_asked(twenty_days: Days) -> None:
    data = krxdata.open(twenty_days.data_dir)
    for ask in (lambda: data.issues(LAST), lambda: data.bars("A", LAST), lambda: data.trades("A", LAST), lambda: data.daily("A", LAST)):
        data._incomplete._said.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ask()
        assert {warning.filename for warning in caught} == {__file__} and len(caught) > 0


def test_the_closed_days_are_the_recorders() -> None:
    package = ROOT / "crates" / "krx-python" / "python" / "krxdata"
    closed = json.loads((package / "closed_days.json").read_text())
    assert closed == sorted(closed) and (closed[0][:4], closed[-1][:4]) == ("2015", "2051")
    for year in ("2015", "2026", "2027", "2050"):
        said = subprocess.run([binary("KRX_RECORDER", "krx-recorder"), "calendar", year, "--json"], check=True, capture_output=True).stdout
        weekdays = [day for day in json.loads(said) if dt.date.fromisoformat(day["date"]).weekday() < 5]
        assert [day["date"] for day in weekdays if not day["trading"]] == [day for day in closed if day.startswith(year)]


def test_codes_and_dates_of_pandas_numpy_and_arrow(twenty_days: Days) -> None:
    data, codes = krxdata.open(twenty_days.data_dir), twenty_days.issues[:2]
    date = LAST - dt.timedelta(days=3)
    expected = data.trades(codes, date).fetchall()
    assert len(expected) > 0
    frame = data.trades(codes, date).df()
    seoul, utc = (dt.datetime(2026, 11, 17, 3, tzinfo=dt.timezone(dt.timedelta(hours=hours))) for hours in (9, 0))
    assert utc.astimezone(krxdata._calendar.KST).date() == date
    for asked in (codes, tuple(codes), pd.Series(codes), pd.Index(codes), frame["code"].unique(), np.array(codes), pa.array(codes), pl.Series(codes)):
        assert data.trades(asked, date).fetchall() == expected
    for asked in (str(date), "20261117", pd.Timestamp(date), np.datetime64(date), np.datetime64("2026-11-17T00:00", "ns"), seoul, utc, frame["date"][0]):
        assert data.trades(codes, asked).fetchall() == expected
    assert data.trades(codes, dt.datetime(2026, 11, 16, 20, tzinfo=dt.timezone.utc)).fetchall() == expected, "it is the 17th in Korea"


def test_a_question_reads_no_more_than_it_needs(twenty_days: Days) -> None:
    """What is asked further reaches the files, and with `ordered=False` nothing is sorted."""

    def plan(relation: duckdb.DuckDBPyRelation) -> str:
        return re.sub(r"[\s│_]", "", relation.explain()).lower()

    data, date = krxdata.open(twenty_days.data_dir), LAST - dt.timedelta(days=1)
    sorted_plan = plan(data.trades(first=date).filter("code = 'A'"))
    assert "orderby" in sorted_plan and sorted_plan.index("code='a'") > sorted_plan.index("parquet")
    assert "orderby" not in plan(data.trades(first=date, ordered=False).aggregate("sum(volume)"))
    ordered, other = (data.trades(first=date, ordered=how).fetchall() for how in (True, False))
    assert sorted(ordered, key=str) == sorted(other, key=str) and len(ordered) > 0


def test_it_can_be_closed(twenty_days: Days) -> None:
    with krxdata.open(twenty_days.data_dir) as data:
        assert len(data.sql("FROM trades WHERE date = $date LIMIT 3", {"date": LAST}).fetchall()) == 3
    with pytest.raises(duckdb.Error):
        data.sql("FROM trades LIMIT 1").fetchall()


def test_results_are_pandas_polars_and_arrow(twenty_days: Days) -> None:
    data, code = krxdata.open(twenty_days.data_dir), twenty_days.issues[0]
    date = LAST - dt.timedelta(days=3)
    relation = data.trades(code, date)
    expected = [row["price"] for row in twenty_days.trades if row["code"] == code and row["date"] == date]
    frame, polars, arrow = relation.df(), relation.pl(), relation.to_arrow_table()
    assert isinstance(frame, pd.DataFrame) and isinstance(polars, pl.DataFrame) and isinstance(arrow, pa.Table)
    assert list(frame["price"]) == polars["price"].to_list() == arrow["price"].to_pylist() == expected
    assert str(frame["trade_ts"].dt.tz) == str(polars["trade_ts"].dtype.time_zone) == "Asia/Seoul"
    assert relation.filter("price > 0").aggregate("count(*)").fetchall() == [(len(expected),)]


def test_names_are_joined(twenty_days: Days, tmp_path: Path) -> None:
    code, other = twenty_days.issues[:2]
    listed = tmp_path / "names.csv"
    listed.write_text(f"code,name\n{code},삼성전자\n")
    date = LAST - dt.timedelta(days=3)
    for names in (listed, pd.DataFrame({"code": [code], "name": ["삼성전자"]}), pl.DataFrame({"code": [code], "name": ["삼성전자"]})):
        data = krxdata.open(twenty_days.data_dir, issues=names)
        assert {row["name"] for row in rows_of(data.trades(code, date))} == {"삼성전자"}
        assert {row["name"] for row in rows_of(data.trades(other, date))} == {None}
        assert {(row["code"], row["name"]) for row in rows_of(data.bars([code, other], date, width="1h"))} == {
            (code, "삼성전자"), (other, None)
        }  # fmt: skip
    # As KRX and Excel in Korea write them.
    for encoding in ("cp949", "utf-8-sig"):
        listed.write_bytes(f"종목코드,한글 종목명\r\n{code},삼성전자\r\n".encode(encoding))
        data = krxdata.open(twenty_days.data_dir, issues=listed)
        assert {row["한글 종목명"] for row in rows_of(data.trades(code, date))} == {"삼성전자"}
    (tmp_path / "names.xlsx").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    data = krxdata.open(twenty_days.data_dir, issues=pd.DataFrame({"code": [code], "market": ["유가증권"], "price": [1]}))
    row = rows_of(data.trades(code, date))[0]
    assert (row["market"], row["issue_market"], row["issue_price"]) == ("KOSPI", "유가증권", 1) and row["price"] > 1
    for names, words in (
        (pd.DataFrame({"code": [code], "종목코드": [code], "name": ["x"], "issue_price": [1], "price": [1]}), "the same name"),
        (pd.DataFrame({"code": [5930]}), "lack their zeros"),
        (pd.DataFrame({"name": ["삼성전자"]}), "no column `code`"),
        (pd.DataFrame({"code": ["A", "A"]}), "twice"),
        ({"005930": "삼성전자"}, "a path, or a table of pandas, polars or Arrow, and not a dict"),
        (tmp_path / "nowhere.csv", "nowhere.csv cannot be read"),
        (tmp_path / "nowhere.parquet", "nowhere.parquet cannot be read"),
        (tmp_path / "names.xlsx", "names.xlsx cannot be read as CSV or Parquet"),
    ):
        with pytest.raises(krxdata.UsageError, match=words):
            krxdata.open(twenty_days.data_dir, issues=names)


def test_a_directory_that_is_none_or_newer_is_refused(tmp_path: Path, made: Made) -> None:
    with pytest.raises(krxdata.NoDataError, match="is not a directory"):
        krxdata.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(krxdata.NoDataError, match="no recorder has recorded"):
        krxdata.open(tmp_path / "empty")
    internal = made.data_dir / ".krx"
    internal.mkdir()
    (internal / "format").write_text("3\n")
    with pytest.raises(krxdata.VersionError, match="layout 3, of a newer recorder"):
        krxdata.open(made.data_dir)
    (internal / "format").write_text("2\n")
    assert len(rows_of(krxdata.open(made.data_dir).days())) > 0
    file = next((made.data_dir / "trades").rglob("*.parquet"))
    table = pq.read_table(file, partitioning=None)
    newest = made.data_dir / "trades" / "date=2026-11-29" / "market=KOSPI"
    newest.mkdir(parents=True)
    pq.write_table(table.replace_schema_metadata({"krx.schema_version": "2"}), newest / file.name)
    with pytest.raises(krxdata.VersionError, match="schema version 2, and this krxdata knows 1: install the krxdata of the recorder's version"):
        krxdata.open(made.data_dir)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda data: data.trades(5930, DAY), "an issue code is text, such as '005930', and not 5930"),
        (lambda data: data.trades([], DAY), "an issue code is needed, such as '005930', and none was named"),
        (lambda data: data.trades("A", "2026-02-30"), "'2026-02-30' is not a date"),
        (lambda data: data.trades("A", DAY, BEFORE), "the dates end before they begin"),
        (lambda data: data.trades("A", last=DAY), "a last date needs a first one"),
        (lambda data: data.trades("5930", DAY), "has it lost its zeros, and is it '005930'"),
        (lambda data: data.bars("A, B", DAY), "'A, B' is not an issue code, .* write several as a list"),
        (lambda data: data.trades(" A", DAY), "is not an issue code"),
        (lambda data: data.trades(np.array(5930), DAY), "a number has lost its zeros"),
        (lambda data: data.trades([None], DAY), "an issue code is text, such as '005930', and not None"),
        (lambda data: data.trades("A", pd.NaT), "NaT is not a date"),
        (lambda data: data.trades("A", 20261120), "20261120 is not a date"),
        (lambda data: data.trades("A", DAY, kinds="block"), "there is no kind 'block'; choose from trade, .*block_during"),
        (lambda data: data.trades("A", DAY, kinds=3), "a kind of rows is text, such as 'trade', and not 3"),
        (lambda data: data.gaps(DAY, feeds="kospi"), "nothing is on record of a feed 'kospi'; there is KOSDAQ, KOSPI"),
        (lambda data: data.coverage(DAY, feeds=5), "a feed is text, such as 'KOSPI', and not 5"),
        (lambda data: data.bars("A", DAY, width="1d"), "daily\\(\\) has rows of whole dates"),
        (lambda data: data.bars("A", DAY, width=5), "5 is not a width of bars"),
        (lambda data: data.bars("A", DAY, width=None), "None is not a width of bars"),
        (lambda data: data.bars("A", DAY, delay=1), "1 is not a width of bars"),
        (lambda data: data.book_at("A", pd.NaT), "NaT is not an instant"),
        (lambda data: data.follow(dataset="daily"), "daily is not received record by record"),
        (lambda data: krxdata.open(None), "None is not the path"),
        (lambda data: krxdata.open(data.data_dir, status=9464), "9464 is not the address of a status port"),
        (lambda data: data.bars("A", DAY, width="5 parsecs"), "is not a width of bars"),
        (lambda data: data.bars("A", DAY, width="0min"), "0:00:00 is too short"),
        (lambda data: data.bars("A", DAY, session=("09:30", "09:30:00")), "the hours end before they begin"),
        (lambda data: data.bars("A", None), "a date is needed"),
        (lambda data: data.completeness("A", None), "a date is needed"),
        (lambda data: data.coverage_shares(None), "a date is needed"),
        (lambda data: data.book_at("5930", "2026-11-20 10:00"), "has it lost its zeros"),
        (lambda data: data.follow("5930"), "has it lost its zeros"),
        (lambda data: data.bars("A", DAY, session="night"), "there is no session 'night'"),
        (lambda data: data.bars("A", DAY, session=("10:00", "09:00")), "the hours end before they begin"),
        (lambda data: data.bars("A", DAY, session=("10:00", "noon")), "'noon' is not a time of day"),
        (lambda data: data.book_at("A", "soon"), "'soon' is not an instant"),
        (lambda data: data.follow(dataset="tocks"), "there is no dataset 'tocks'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(made: Made, ask: Any, words: str) -> None:
    data = krxdata.open(made.data_dir)
    with pytest.raises(krxdata.UsageError, match=words) as caught:
        ask(data)
    assert isinstance(caught.value, ValueError)


def test_a_value_is_never_sql(made: Made) -> None:
    data = krxdata.open(made.data_dir)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for code in ("';DROP/**/VIEW/**/trades;--", "A'OR'a'='a", "\\"):
            assert rows_of(data.trades(code, DAY)) == rows_of(data.bars(code, DAY)) == rows_of(data.book_at(code, "2026-11-20")) == []
        assert len(rows_of(data.trades("A", DAY))) > 0


def test_files_of_a_dataset_are_seen_once_they_are_there(tmp_path: Path, made: Made) -> None:
    (tmp_path / "new" / ".krx").mkdir(parents=True)
    data = krxdata.open(tmp_path / "new")
    assert rows_of(data.days()) == rows_of(data.trades()) == rows_of(data.bars(None, DAY)) == rows_of(data.ticks()) == []
    for dataset in ("trades", "coverage"):
        shutil.copytree(made.data_dir / dataset, tmp_path / "new" / dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(rows_of(data.trades(first=DAY))) == len(rows_of(krxdata.open(made.data_dir).trades(first=DAY))) > 0
    assert len(rows_of(data.days())) > 0


def test_a_live_answer_takes_nothing_from_later_ones(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new" / ".krx").mkdir(parents=True)
    data = krxdata.open(tmp_path / "new")
    for dataset in ("trades", "coverage"):
        shutil.copytree(made.data_dir / dataset, tmp_path / "new" / dataset)
    with pytest.warns(krxdata.IncompleteWarning, match="KOSPI on 2026-11-19 lacks 900 s") as caught:
        data.trades("B", BEFORE, live=True)
    assert len(caught) == 1, "the files that are there by now are looked at"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows_of(data.ticks("005930", live=True)) == [], "there may be some in the journal"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(rows_of(data.trades(first=DAY))) > 0 and len(rows_of(data.days())) > 0


class Live:
    """A recorder of both services beside which data are read."""

    def __init__(self, recorder: Recorder, port: int) -> None:
        self.recorder = recorder
        self.address = f"127.0.0.1:{port}"
        self.config = recorder.data_dir.parent / "krx-recorder.toml"

    def open(self, how: str) -> krxdata.Data:
        options = {"status": self.address} if how == "http" else {"config": self.config}
        return krxdata.open(self.recorder.data_dir, **options)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    keep_clear_of_midnight()
    folder, port = tmp_path_factory.mktemp("live"), free_port()
    listed = folder / "issues.csv"
    listed.write_text(issues.LISTED)
    arguments = ["--issues", str(listed), "--trades-per-day", "1000000", "--seed", "5", "--repeat"]
    arguments += ["--rate", str(RATE), "--per-issue-rate", str(RATE)]
    simulator = Simulator(folder / "ledger.jsonl", arguments)
    try:
        # Files come every three seconds: what is newer is in the journal alone.
        recorder = Recorder(folder, simulator.url, issues.tables(), port=port, interval="3s")
        try:
            names = ("trades", *STOCKS, *DERIVATIVES)
            wait_until(
                lambda: all(any((recorder.data_dir / name).rglob("*.parquet")) for name in names), 120, "all have files",
                recorder.check_running,
            )  # fmt: skip
            # The simulated day begins before the open: what comes first are not trades.
            trades = f"FROM read_parquet('{recorder.data_dir}/trades/**/*.parquet') WHERE kind = 'trade' AND code = '{issues.STOCKS[0]}' LIMIT 1"
            wait_until(lambda: bool(duckdb.sql(trades).fetchall()), 120, "trades are in files", recorder.check_running)
            yield Live(recorder, port)
            recorder.stop()
        finally:
            end(recorder.process)
    finally:
        simulator.stop()


Places = dict[str, list[tuple[int, int]]]
"""Of each feed the frames and items of rows."""


def places_of(*tables: pa.Table | pa.RecordBatch) -> Places:
    found: Places = {}
    for table in tables:
        key = "market" if "market" in table.schema.names else "feed"
        for row in table.select([key, "frame", "item"]).to_pylist():
            found.setdefault(row[key], []).append((row["frame"], row["item"]))
    return found


def last_in_files(data: krxdata.Data) -> dict[str, int]:
    return dict(data.sql("SELECT market, max(frame) FROM trades GROUP BY market").fetchall())


def check_against_files(live: Live, data: krxdata.Data, found: Places) -> None:
    """Each row is there once, and up to the last of each feed none is missing of those that files have in the end."""
    last = {feed: max(places)[0] for feed, places in found.items()}
    wait_until(
        lambda: all(frame > last[feed] for feed, frame in last_in_files(data).items() if feed in last), 60, "all is in files",
        live.recorder.check_running,
    )  # fmt: skip
    in_files = places_of(data.sql("SELECT market, frame, item FROM trades").to_arrow_table())
    for feed, places in found.items():
        first = min(places)[0]
        expected = {place for place in in_files[feed] if first <= place[0] <= last[feed]}
        assert len(places) == len(set(places)), "none is doubled"
        assert set(places) == expected


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
@pytest.mark.parametrize("how", ["http", "program"])
def test_live_rows_are_unbroken_and_newer_than_the_files(live: Live, how: str) -> None:
    data, readings, newer = live.open(how), [], 0
    began = time.monotonic()
    while len(readings) < 6 or time.monotonic() - began < 8:
        readings.append(places_of(data.trades(kinds=None, live=True).to_arrow_table()))
        in_files = last_in_files(data)
        newer += any(max(places)[0] > in_files[market] for market, places in readings[-1].items())
    assert newer > 0, "the newest records were not only those of files"
    for reading in readings:
        assert all(min(places)[0] == 1 or min(places) == min(readings[0][market]) for market, places in reading.items())
        check_against_files(live, data, reading)
    code = issues.STOCKS[0]
    for name in (*STOCKS, "derivative_ticks", "indices"):
        load, wanted = getattr(data, name), code if name in STOCKS else None
        in_files = load(wanted).aggregate("count(*)").fetchall()[0][0]
        (places,) = places_of(load(wanted, live=True).to_arrow_table()).values()
        assert len(places) == len(set(places)) >= in_files > 0


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_live_rows_are_each_there_once_across_a_seal(live: Live, tmp_path: Path) -> None:
    """A tail that was read before its records went to files, and before these were sealed."""
    folder = tmp_path / "data"
    data = live.open("http")
    relation = data.trades(kinds=None, live=True)
    before = places_of(relation.to_arrow_table())
    check_against_files(live, data, before)
    after = places_of(relation.to_arrow_table())
    assert all(set(after[market]) > set(places) for market, places in before.items()), "newer files are seen, too"
    check_against_files(live, data, after)
    shutil.copytree(live.recorder.data_dir, folder, ignore=shutil.ignore_patterns("staging", "lock"))
    shown = krxdata.open(folder).trades(kinds=None, live=True)
    unsealed = places_of(shown.to_arrow_table())
    seal_every_date(folder)
    assert places_of(shown.to_arrow_table()) == unsealed


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_a_long_list_of_issues_is_no_request_that_is_too_long(live: Live) -> None:
    codes = [issues.STOCKS[0], *(f"9{number:05}" for number in range(1500))]
    data = live.open("http")
    assert {code for (code,) in data.trades(codes, live=True).project("code").fetchall()} == {codes[0]}
    assert set(next(data.follow(codes))["code"].to_pylist()) == {codes[0]}


@pytest.mark.parametrize("how", ["http", "program"])
def test_followed_records_come_as_they_are_durable(live: Live, how: str) -> None:
    data, began, late_s = live.open(how), time.monotonic(), []
    found: list[pa.RecordBatch] = []
    batches = data.follow(kinds=None)
    for batch in batches:
        now = dt.datetime.now(dt.timezone.utc)
        late_s.append((now - batch["recv_ts"][-1].as_py()).total_seconds())
        found.append(batch)
        if time.monotonic() - began > 5 and len(places_of(*found)) == 2:
            break
    batches.close()
    places = places_of(*found)
    assert all(of_feed == sorted(of_feed) and len(of_feed) > 1000 for of_feed in places.values())
    check_against_files(live, data, places)
    late_s.sort()
    print(f"{how}: {len(late_s)} batches, {late_s[len(late_s) // 2] * 1000:.0f} ms behind in the middle")
    code = issues.STOCKS[0]
    for batch in data.follow(code, dataset="ticks"):
        assert batch.schema.names[:3] == ["date", "feed", "code"]
        assert set(batch["code"].to_pylist()) == {code} and set(batch["kind"].to_pylist()) == {"trade"}
        break


def test_followed_records_are_of_the_kinds_and_issues_asked_for(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("A", "trade"), ("A", "regular_close"), ("B", "trade"), ("A", "block_during")]
    names = ["date", "market", *(name for name, _ in _datasets.DATASETS["trades"].columns)]
    batch = pa.RecordBatch.from_pylist([dict.fromkeys(names, 1) | {"code": code, "kind": kind} for code, kind in rows])
    monkeypatch.setattr(_newest.Newest, "follow", lambda *_: iter([batch, batch.slice(1, 1)]))
    data = krxdata.open(made.data_dir)
    for codes, kinds, expected in (
        (None, "trade", [[0, 2]]),
        ("A", "trade", [[0]]),
        ("A", None, [[0, 1, 3], [1]]),
        (["A", "B"], ["block_during", "regular_close"], [[1, 3], [1]]),
    ):
        found = list(data.follow(codes, kinds=kinds))
        assert [[(row["code"], row["kind"]) for row in each.to_pylist()] for each in found] == [[rows[nth] for nth in each] for each in expected]
        assert all(each.schema.names == names for each in found)


def test_a_recorder_of_another_directory_is_not_asked(live: Live, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    data = krxdata.open(made.data_dir, status=live.address)
    for ask in (lambda: data.trades(live=True), lambda: next(data.follow())):
        with pytest.raises(krxdata.RecorderError, match=f"records in {live.recorder.data_dir}, and not in"):
            ask()
    # Elsewhere the directory may have another path: then it has the segments.
    monkeypatch.setattr(http.client, "HTTPConnection", lambda address, **options: CONNECTION(live.address, **options))
    linked = made.data_dir.parent / "mounted"
    linked.mkdir()
    for name in (".krx", "trades", "coverage"):
        (linked / name).symlink_to(live.recorder.data_dir / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(rows_of(krxdata.open(linked, status="recorder.example:9464").trades(live=True).limit(5))) == 5
    partly = made.data_dir.parent / "partly"
    (partly / ".krx" / "journal").mkdir(parents=True)
    (partly / ".krx" / "journal" / "KOSPI").symlink_to(live.recorder.data_dir / ".krx" / "journal" / "KOSPI")
    for data_dir, status in ((made.data_dir, "recorder.example:9464"), (partly, "recorder.example:9464"), (linked, live.address)):
        with pytest.raises(krxdata.RecorderError, match="and not in"):
            krxdata.open(data_dir, status=status).trades(live=True)


CONNECTION = http.client.HTTPConnection


def test_a_recorder_that_is_killed_is_an_error_and_then_its_journal_is_read(tmp_path: Path) -> None:
    keep_clear_of_midnight()
    port = free_port()
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--trades-per-day", "100000", "--rate", "3000", "--repeat"])
    try:
        recorder = Recorder(tmp_path, simulator.url, port=port, interval="3s")
        try:
            wait_until(lambda: any((recorder.data_dir / "trades").rglob("*.parquet")), 60, "a file", recorder.check_running)
            data = krxdata.open(recorder.data_dir, status=f"127.0.0.1:{port}")
            batches = data.follow()
            next(batches)
            recorder.process.kill()
            # The other market's batches may not have begun.
            with pytest.raises(krxdata.RecorderError, match="(broke off what it was sending|no recorder answers).*open the directory without status="):
                for _ in batches:
                    pass
        finally:
            recorder.process.kill()
            recorder.process.wait()
    finally:
        simulator.stop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(krxdata.RecorderError, match="If it has ended, open the directory without status="):
            data.trades(live=True)
        assert len(rows_of(krxdata.open(recorder.data_dir).trades(live=True))) > 0


def test_a_recorder_that_cannot_be_asked_is_an_error_that_helps(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = krxdata.open(live.recorder.data_dir, status=f"127.0.0.1:{free_port()}")
    with pytest.raises(krxdata.RecorderError, match=r"no recorder answers at .*status\.listen"):
        data.trades(live=True)
    with pytest.raises(krxdata.RecorderError, match="a recorder is running"):
        krxdata.open(live.recorder.data_dir).trades(live=True)
    monkeypatch.setattr(_newest, "program", lambda: None)
    with pytest.raises(krxdata.RecorderError, match=r'status="localhost:9464"'):
        krxdata.open(live.recorder.data_dir).trades(live=True)


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_after_a_crash_the_journal_is_read_without_a_recorder(tmp_path: Path) -> None:
    keep_clear_of_midnight()
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--trades-per-day", "100000", "--rate", "5000", "--repeat"])
    try:
        recorder = Recorder(tmp_path, simulator.url, interval="3s")
        try:
            trades = recorder.data_dir / "trades"
            wait_until(lambda: any(trades.rglob("*.parquet")), 60, "a file", recorder.check_running)
            time.sleep(1)
        finally:
            recorder.process.kill()
            recorder.process.wait()
    finally:
        simulator.stop()
    data = krxdata.open(recorder.data_dir)
    in_files = data.trades(kinds=None).aggregate("count(*)").fetchall()[0][0]
    found = data.trades(kinds=None, live=True).to_arrow_table()
    assert found.num_rows > in_files
    assert all(len(places) == len(set(places)) for places in places_of(found).values())
