"""The views of `deploy/krx.sql` in a real DuckDB: over a recording with real gaps, and over files made by hand whose
answers are known."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import days
import fields
import issues
import ledger
import readers
from conftest import IssueRecording, Recording, keep_clear_of_midnight
from days import Days
from processes import ROOT, Recorder, Simulator, binary, end

VIEWS = (ROOT / "deploy" / "krx.sql").read_text()
ZONES = ("Asia/Seoul", "UTC", "America/New_York")
DAY = dt.date(2026, 11, 20)
BEFORE = dt.date(2026, 11, 19)

TRADES = pa.schema(
    [
        ("code", pa.utf8()),
        ("trade_ts", pa.timestamp("ms", ledger.TZ)),
        ("price", pa.int64()),
        ("volume", pa.int64()),
        ("kind", pa.utf8()),
        ("trade_time", pa.int32()),
        ("recv_ts", pa.timestamp("us", ledger.TZ)),
        ("frame", pa.int64()),
        ("item", pa.int16()),
        ("session", pa.int32()),
        ("extra", pa.utf8()),
    ]
)
"""The columns of `trades`."""


def connect(data_dir: Path, zone: str = "Asia/Seoul", *options: str) -> duckdb.DuckDBPyConnection:
    """A connection with the views that the recorder prints for a directory, and another zone than they set."""
    command = [binary("KRX_RECORDER", "krx-recorder"), "sql", "--data-dir", str(data_dir), *options]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    connection = duckdb.connect()
    connection.execute(printed)
    connection.execute(f"SET TimeZone = '{zone}'")
    return connection


def korean(date: dt.date, clock: str) -> dt.datetime:
    return dt.datetime.combine(date, dt.time.fromisoformat(clock), ledger.KST)


class Made:
    """A data directory made by hand: trades and coverage as the recorder writes them."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.traded: dict[tuple[dt.date, str], list[tuple[str, dt.datetime, int, int]]] = {}
        self.covered: dict[tuple[dt.date, str], list[tuple[dt.datetime, dt.datetime, str]]] = {}

    def trades(self, date: dt.date, market: str, *lines: tuple[str, str, int, int]) -> None:
        """(code, time, price, volume), in the order of arrival; the file has them in another. Two more records are
        signals, which count for nothing."""
        self.traded[date, market] = [(code, korean(date, clock), *rest) for code, clock, *rest in lines]
        rows = [
            {"code": code, "trade_ts": trade_ts, "price": price, "volume": volume, "kind": "trade"}
            for code, trade_ts, price, volume in self.traded[date, market]
        ]
        rows.insert(1, {"code": "A", "trade_ts": None, "price": 999, "volume": 999, "kind": "before_first_trade"})
        rows.append({"code": "Z", "trade_ts": None, "price": 1, "volume": 1, "kind": "regular_close"})
        for number, row in enumerate(rows):
            # Two records per frame, the second with the highest `item` that its type has: the order is that of both.
            row |= {"frame": number // 2 + 1, "item": number % 2 * 32_767, "recv_ts": korean(date, "09:00"), "session": 1}
        self.write("trades", date, market, pa.Table.from_pylist(rows[::-1], TRADES))

    def coverage(self, date: dt.date, feed: str, *lines: tuple[str, str, str]) -> None:
        """(from, to, state)."""
        covered = [(korean(date, begin), end_of(date, finish), state) for begin, finish, state in lines]
        self.covered[date, feed] = covered
        rows = [
            {"from_ts": begin, "to_ts": finish, "state": state, "reason": "made"} for begin, finish, state in covered
        ]
        schema = pa.schema(
            [
                ("from_ts", pa.timestamp("us", ledger.TZ)),
                ("to_ts", pa.timestamp("us", ledger.TZ)),
                ("state", pa.utf8()),
                ("reason", pa.utf8()),
                ("session", pa.int32()),
                ("frames", pa.int64()),
                ("rows", pa.int64()),
                ("detail", pa.utf8()),
            ]
        )
        self.write("coverage", date, feed, pa.Table.from_pylist(rows, schema))

    def write(self, dataset: str, date: dt.date, feed: str, table: pa.Table) -> None:
        folder = self.data_dir / dataset / f"date={date}" / f"{readers.key(dataset)}={feed}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"{dataset}.parquet")


def end_of(date: dt.date, clock: str) -> dt.datetime:
    """`24:00` is the midnight that ends the date."""
    return korean(date, "00:00") + dt.timedelta(days=1) if clock == "24:00" else korean(date, clock)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Two markets and two days. On the second, KOSPI has a gap within a minute (09:02:10 to 09:02:20), one over several
    (09:04:30 to 09:06:30), one from edge to edge (09:08 to 09:09), an idle stretch (09:10 to 09:11), two sessions that
    meet within a minute (09:03:30), and is known until 09:13:30 only. KOSDAQ has nothing of it."""
    made = Made(tmp_path / "it's [a] data dir")
    made.trades(
        DAY,
        "KOSPI",
        ("A", "09:00:00.000", 100, 1),
        ("A", "09:00:59.999", 103, 2),
        ("A", "09:00:30.000", 101, 4),
        ("B", "09:00:00.500", 50, 7),
        ("A", "09:02:05.000", 110, 9),
        ("A", "09:03:10.000", 120, 1),
        ("A", "09:03:40.000", 119, 1),
        ("A", "09:04:10.000", 130, 1),
        ("A", "09:07:00.000", 140, 3),
        ("B", "09:12:00.000", 51, 8),
        ("A", "15:30:00.010", 150, 5),
    )
    made.coverage(
        DAY,
        "KOSPI",
        ("00:00", "08:20", "idle"),
        ("08:20", "08:20:01", "gap"),
        ("08:20:01", "09:02:10", "live"),
        ("09:02:10", "09:02:20", "gap"),
        ("09:02:20", "09:03:30", "live"),
        ("09:03:30", "09:04:30", "live"),
        ("09:04:30", "09:05:00", "gap"),
        ("09:05:00", "09:06:30", "gap"),
        ("09:06:30", "09:08:00", "live"),
        ("09:08:00", "09:09:00", "gap"),
        ("09:09:00", "09:10:00", "live"),
        ("09:10:00", "09:11:00", "idle"),
        ("09:11:00", "09:13:30", "live"),
    )
    made.trades(DAY, "KOSDAQ", ("A", "09:02:15.000", 7, 1), ("C", "23:59:59.990", 8, 2))
    made.coverage(DAY, "KOSDAQ", ("00:00", "24:00", "live"))
    # Nothing is known about this day's KOSDAQ: it has trades but no coverage.
    made.trades(BEFORE, "KOSPI", ("A", "09:00:01.000", 90, 1))
    made.coverage(BEFORE, "KOSPI", ("00:00", "12:15", "live"), ("12:15", "12:30", "gap"), ("12:30", "24:00", "live"))
    made.trades(BEFORE, "KOSDAQ", ("C", "00:00:00.000", 5, 1))
    return made


def bars(data_dir: Path, arguments: str, where: str, zone: str = "Asia/Seoul") -> list[tuple[Any, ...]]:
    """(clock, open, high, low, close, volume, records, complete) of a call of the macro."""
    with connect(data_dir, zone) as connection:
        return connection.execute(
            f"""SELECT strftime(timezone('Asia/Seoul', from_ts), '%H:%M'), open, high, low, close, volume, records, complete
            FROM bars({arguments}) WHERE {where} ORDER BY from_ts"""
        ).fetchall()


NOTHING = (None, None, None, None, 0, 0, True)
UNKNOWN = (None, None, None, None, None, None, False)


@pytest.mark.parametrize("zone", ZONES)
def test_bars_know_what_was_not_recorded(made: Made, zone: str) -> None:
    found = bars(made.data_dir, "'2026-11-20', to_time := '09:15'", "market = 'KOSPI' AND code = 'A'", zone)
    assert found == [
        ("09:00", 100, 103, 100, 101, 7, 3, True),
        ("09:01", *NOTHING),
        ("09:02", *UNKNOWN),
        ("09:03", 120, 120, 119, 119, 2, 2, True),
        ("09:04", *UNKNOWN),
        ("09:05", *UNKNOWN),
        ("09:06", *UNKNOWN),
        ("09:07", 140, 140, 140, 140, 3, 1, True),
        ("09:08", *UNKNOWN),
        ("09:09", *NOTHING),
        ("09:10", *UNKNOWN),
        ("09:11", *NOTHING),
        ("09:12", *NOTHING),
        ("09:13", *UNKNOWN),
        ("09:14", *UNKNOWN),
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_bars_of_other_widths_and_hours(made: Made, zone: str) -> None:
    of_a = "market = 'KOSPI' AND code = 'A'"
    narrow = bars(
        made.data_dir, "'2026-11-20', width := INTERVAL '5 seconds', from_time := '09:02:05', to_time := '09:02:17'", of_a, zone
    )
    assert [bar[1:] for bar in narrow] == [(110, 110, 110, 110, 9, 1, True), UNKNOWN, UNKNOWN]
    # The last of these ends with the hours, before the gap that its width would reach.
    cut = bars(made.data_dir, "DATE '2026-11-20', width := INTERVAL '3 minutes', to_time := '09:02:10'", of_a, zone)
    assert cut == [("09:00", 100, 110, 100, 110, 16, 4, True)]
    excluded = bars(made.data_dir, "'2026-11-20', width := INTERVAL '3 minutes', to_time := '09:02:05'", of_a, zone)
    assert excluded == [("09:00", 100, 103, 100, 101, 7, 3, True)], "a trade of the instant at which the hours end"
    frames = bars(made.data_dir, "'2026-11-20', width := INTERVAL '1 hour', from_time := '09:03', to_time := '09:04:30'", of_a, zone)
    assert frames == [("09:03", 120, 130, 119, 130, 3, 3, True)], "the last item of a frame comes before the next frame"
    late = bars(made.data_dir, "'2026-11-20', to_time := '09:02', delay := INTERVAL '11 seconds'", of_a, zone)
    assert [bar[0] for bar in late if bar[-1]] == ["09:00"], "09:01 is followed by a gap after ten seconds"
    closing = bars(made.data_dir, "'2026-11-20', from_time := '15:30', to_time := '15:31'", of_a, zone)
    assert closing == [("15:30", *UNKNOWN)], "nothing is known of that time"


@pytest.mark.parametrize("zone", ZONES)
def test_the_hours_of_each_session_are_those_of_its_date(made: Made, zone: str) -> None:
    days = {dt.date(2026, 9, 11): ("09:00", "15:30", "18:00"), BEFORE: ("10:00", "16:30", "20:00"), DAY: ("09:00", "15:30", "20:00")}
    with connect(made.data_dir, zone) as connection:
        for date, (opens, closes, ends) in days.items():
            after = f"{korean(date, closes) + dt.timedelta(minutes=10):%H:%M}"
            for session, hours in {"regular": (opens, closes), "after": (after, ends), "all": (opens, ends)}.items():
                query = f"SELECT hours_begin, hours_end FROM hours_of('{date}', '{date}', NULL, NULL, session := '{session}')"
                assert connection.execute(query).fetchall() == [tuple(korean(date, clock) for clock in hours)]
        of_own = "SELECT hours_begin, hours_end FROM hours_of('2026-11-20', '2026-11-20', '12:00', NULL, session := 'all')"
        assert connection.execute(of_own).fetchall() == [(korean(DAY, "12:00"), korean(DAY, "20:00"))]
        after = connection.execute(f"SELECT min(from_ts), max(to_ts) FROM bars('{DAY}', session := 'after')").fetchall()
        assert after == [(korean(DAY, "15:40"), korean(DAY, "20:00"))]
        of_all = f"SELECT date, market, code, records, missing_s FROM completeness('{DAY}', session := 'all')"
        expected = expected_completeness(made, DAY, DAY, "09:00", "20:00")
        assert sorted(connection.execute(of_all).fetchall(), key=order) == expected
        for asked in (f"bars('{DAY}', session := 'night')", f"completeness('{DAY}', session := 'night')"):
            with pytest.raises(duckdb.Error, match="session is regular, after or all"):
                connection.execute(f"FROM {asked}").fetchall()


@pytest.mark.parametrize("zone", ZONES)
def test_bars_of_a_whole_date_end_at_midnight_in_korea(made: Made, zone: str) -> None:
    whole = "'2026-11-20', width := INTERVAL '1 hour', from_time := '00:00', to_time := '24:00'"
    found = bars(made.data_dir, whole, "market = 'KOSDAQ' AND code = 'C'", zone)
    assert len(found) == 24 and all(bar[-1] for bar in found)
    assert [bar for bar in found if bar[6] != 0] == [("23:00", 8, 8, 8, 8, 2, 1, True)]
    before = whole.replace("2026-11-20", "2026-11-19")
    assert bars(made.data_dir, before, "market = 'KOSDAQ'", zone) == [(f"{hour:02}:00", *UNKNOWN) for hour in range(24)]


def test_bars_have_each_issue_that_traded_in_its_own_market(made: Made) -> None:
    with connect(made.data_dir) as connection:
        found = connection.execute(
            "SELECT market, code, count(*), count(*) FILTER (complete) FROM bars('2026-11-20', to_time := '09:15') GROUP BY ALL"
        ).fetchall()
    assert sorted(found) == [("KOSDAQ", "A", 15, 15), ("KOSDAQ", "C", 15, 15), ("KOSPI", "A", 15, 7), ("KOSPI", "B", 15, 7)]


@pytest.mark.parametrize("zone", ZONES)
def test_completeness_counts_what_is_missing(made: Made, zone: str) -> None:
    with connect(made.data_dir, zone) as connection:
        # KOSPI until 09:15: 10 s, 120 s, 60 s, 60 s idle, and 90 s that nothing is known of.
        query = "SELECT date::VARCHAR, market, code, records, gaps, missing_s, round(share, 6) FROM completeness({}) ORDER BY ALL"
        found = connection.execute(query.format("'2026-11-20', to_time := '09:15'")).fetchall()
        assert found == [
            ("2026-11-20", "KOSDAQ", "A", 1, 0, 0.0, 1.0),
            ("2026-11-20", "KOSDAQ", "C", 1, 0, 0.0, 1.0),
            ("2026-11-20", "KOSPI", "A", 9, 5, 340.0, round(560 / 900, 6)),
            ("2026-11-20", "KOSPI", "B", 2, 5, 340.0, round(560 / 900, 6)),
        ]
        both = connection.execute(query.format("'2026-11-19', '2026-11-20'") + " LIMIT 2").fetchall()
        assert both == [
            ("2026-11-19", "KOSDAQ", "C", 1, 1, 23_400.0, 0.0),
            ("2026-11-19", "KOSPI", "A", 1, 1, 900.0, round(22_500 / 23_400, 6)),
        ]
        inside = connection.execute(query.format("'2026-11-19', from_time := '12:20', to_time := '12:25'")).fetchall()
        assert [row[4:] for row in inside] == [(1, 300.0, 0.0), (1, 300.0, 0.0)]
        edges = connection.execute(query.format("'2026-11-19', from_time := '12:00', to_time := '12:15'")).fetchall()
        assert [row[4:] for row in edges] == [(1, 900.0, 0.0), (0, 0.0, 1.0)]
        first = connection.execute(
            "SELECT first_ts, last_ts FROM completeness('2026-11-20') WHERE market = 'KOSPI' AND code = 'A'"
        ).fetchone()
    assert first == (korean(DAY, "09:00:00"), korean(DAY, "15:30:00.010"))


def order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A key to sort rows by, whatever zone their instants are in."""
    return tuple(value if isinstance(value, dt.datetime) else str(value) for value in row[:3])


def recorded_s(made: Made, date: dt.date, feed: str, since: dt.datetime, until: dt.datetime) -> float:
    """Seconds of a stretch that were recorded, one interval of coverage after the other."""
    live = [row for row in made.covered.get((date, feed), []) if row[2] == "live"]
    overlaps = [(min(finish, until) - max(begin, since)).total_seconds() for begin, finish, _ in live]
    return sum(overlap for overlap in overlaps if overlap > 0)


def issues_of(made: Made, date: dt.date, market: str, whole: bool) -> set[str | None]:
    """The issues that a date must have rows for. `whole`: all of the asked hours was recorded."""
    today = {code for code, *_ in made.traded.get((date, market), [])}
    if today or whole or all(state == "idle" for *_, state in made.covered.get((date, market), [])):
        return today
    # Each has files, if with signals alone.
    before = sorted((day for day, of in made.traded if of == market and day < date), reverse=True)[:5]
    known = {code for day in before for code, *_ in made.traded[day, market]}
    return known or {None}


def expected_completeness(made: Made, first: dt.date, last: dt.date, begin: str, finish: str) -> list[tuple[Any, ...]]:
    """(date, market, code, records, missing_s) in plain Python."""
    rows = []
    for date in (first + dt.timedelta(days=day) for day in range((last - first).days + 1)):
        since, until = korean(date, begin), korean(date, finish)
        for market in sorted({market for _, market in made.traded}):
            missing = (until - since).total_seconds() - recorded_s(made, date, market, since, until)
            for code in issues_of(made, date, market, missing == 0):
                records = sum(trade[0] == code for trade in made.traded.get((date, market), []))
                rows.append((date, market, code, records, missing))
    return sorted(rows, key=order)


def expected_bars(made: Made, date: dt.date, begin: str, finish: str, width_s: int, delay_s: int) -> list[tuple[Any, ...]]:
    """(market, code, from_ts, records, volume, open, close, complete) in plain Python."""
    rows, since, until = [], korean(date, begin), korean(date, finish)
    for market in sorted({market for _, market in made.traded}):
        whole = recorded_s(made, date, market, since, until) == (until - since).total_seconds()
        for code in issues_of(made, date, market, whole):
            start = since
            while start < until:
                end_ = min(start + dt.timedelta(seconds=width_s), until)
                late = end_ + dt.timedelta(seconds=delay_s)
                trades = [row for row in made.traded.get((date, market), []) if row[0] == code and start <= row[1] < end_]
                values: tuple[Any, ...] = (None, None, None, None, False)
                if recorded_s(made, date, market, start, late) == (late - start).total_seconds():
                    prices = (trades[0][2], trades[-1][2]) if trades else (None, None)
                    values = (len(trades), sum(row[3] for row in trades), *prices, True)
                rows.append((market, code, start, *values))
                start = end_
    return sorted(rows, key=order)


BARS = """SELECT market, code, from_ts, records, volume, open, close, complete
FROM bars('{}', from_time := '{}', to_time := '{}', width := INTERVAL '{} seconds', delay := INTERVAL '{} seconds')"""
COMPLETENESS = """SELECT date, market, code, records, missing_s
FROM completeness('{}', '{}', from_time := '{}', to_time := '{}')"""


@pytest.mark.parametrize("seed", range(6))
def test_what_is_not_known_yet_is_never_zero(tmp_path: Path, seed: int) -> None:
    """I8: behind the last `to_ts` of a running day every value is NULL, whatever coverage looks like before it."""
    made, dice = Made(tmp_path / "data"), random.Random(seed)
    begin = korean(DAY, "09:00")
    for market in ("KOSPI", "KOSDAQ"):
        clocks = sorted(dice.randrange(600) for _ in range(40))
        trades = [(dice.choice("ABC"), f"{begin + dt.timedelta(seconds=at):%H:%M:%S}", 100 + at, at + 1) for at in clocks]
        made.trades(DAY, market, *trades)
        cuts = ["00:00", *(f"{begin + dt.timedelta(seconds=at):%H:%M:%S}" for at in sorted(dice.sample(range(500), 6)))]
        states = [dice.choice(["live", "live", "live", "gap", "idle"]) for _ in cuts]
        made.coverage(DAY, market, *zip(cuts, cuts[1:], states, strict=False))
    with connect(made.data_dir) as connection:
        for width_s, delay_s in ((7, 0), (60, 0), (60, 1), (180, 5)):
            found = connection.execute(BARS.format(DAY, "09:00", "09:10", width_s, delay_s)).fetchall()
            assert sorted(found, key=order) == expected_bars(made, DAY, "09:00", "09:10", width_s, delay_s)
            for market, _, start, *values in found:
                known_until = made.covered[DAY, market][-1][1]
                if start + dt.timedelta(seconds=width_s) > known_until:
                    assert values == [None, None, None, None, False]
        found = connection.execute(COMPLETENESS.format(DAY, DAY, "09:00", "09:10")).fetchall()
    assert sorted(found, key=order) == expected_completeness(made, DAY, DAY, "09:00", "09:10")


@pytest.fixture
def outages(tmp_path: Path) -> Made:
    """Two weeks in which whole days are missing (I9): 16, 17 and 19 November on all feeds; on the 18th KOSPI has nothing
    but signals. 20 November is a running day of KOSPI, and one without a trade of KOSDAQ; the 21st a Saturday."""
    made = Made(tmp_path / "data")

    def on(day: int) -> dt.date:
        return dt.date(2026, 11, day)

    made.trades(on(6), "KOSPI", ("OLD", "09:00:00", 1, 1))
    for day in (9, 10, 11, 12, 13):
        made.trades(on(day), "KOSPI", ("A", "09:00:00", 100, 1), *([("RARE", "10:00:00", 5, 5)] if day == 9 else []))
        made.coverage(on(day), "KOSPI", ("00:00", "24:00", "live"))
    made.trades(on(13), "KOSDAQ", ("C", "09:00:00", 7, 1))
    made.coverage(on(13), "KOSDAQ", ("00:00", "08:20", "idle"), ("08:20", "20:10", "live"), ("20:10", "24:00", "idle"))
    made.trades(on(18), "KOSPI")
    made.coverage(on(18), "KOSPI", ("00:00", "08:20", "idle"), ("08:20", "12:00", "live"), ("12:00", "24:00", "gap"))
    made.trades(on(18), "KOSDAQ", ("D", "09:30:00", 8, 2))
    made.coverage(on(18), "KOSDAQ", ("00:00", "09:15", "idle"), ("09:15", "24:00", "live"))
    # A market of which nothing was ever recorded before the 20th.
    made.trades(on(20), "KONEX", ("K", "09:00:00", 3, 3))
    made.coverage(on(20), "KONEX", ("00:00", "24:00", "live"))
    # And a feed that is not a market, so that none of it is in `trades`.
    for day in (16, 17, 19):
        for feed in ("KOSPI", "KOSDAQ", "KONEX", "ISSUES"):
            made.coverage(on(day), feed, ("00:00", "08:20", "idle"), ("08:20", "20:10", "gap"), ("20:10", "24:00", "idle"))
    made.coverage(on(20), "KOSPI", ("00:00", "08:20", "idle"), ("08:20", "08:20:01", "gap"), ("08:20:01", "08:50", "live"))
    made.coverage(on(20), "KOSDAQ", ("00:00", "24:00", "live"))
    for feed in ("KOSPI", "KOSDAQ"):
        made.coverage(on(21), feed, ("00:00", "24:00", "idle"))
    return made


@pytest.mark.parametrize("zone", ZONES)
def test_days_on_which_nothing_was_recorded_are_named(outages: Made, zone: str) -> None:
    first, last = dt.date(2026, 11, 9), dt.date(2026, 11, 21)
    with connect(outages.data_dir, zone) as connection:
        found = connection.execute(COMPLETENESS.format(first, last, "09:00", "15:30")).fetchall()
        of_a = connection.execute(
            f"SELECT date::VARCHAR, records, gaps, missing_s, share FROM completeness('{first}', '{last}') "
            "WHERE code = 'A' AND date >= '2026-11-13' ORDER BY date"
        ).fetchall()
        bars_of = {
            day: connection.execute(BARS.format(dt.date(2026, 11, day), "09:00", "15:30", 600, 0)).fetchall()
            for day in (13, 16, 17, 18, 19, 20, 21)
        }
    assert sorted(found, key=order) == expected_completeness(outages, first, last, "09:00", "15:30")
    assert of_a == [
        ("2026-11-13", 1, 0, 0.0, 1.0),
        ("2026-11-16", 0, 1, 23_400.0, 0.0),
        ("2026-11-17", 0, 1, 23_400.0, 0.0),
        ("2026-11-18", 0, 1, 12_600.0, pytest.approx(10_800 / 23_400)),
        ("2026-11-19", 0, 1, 23_400.0, 0.0),
        ("2026-11-20", 0, 1, 23_400.0, 0.0),
    ]
    named = {(row[0].day, row[1]): {code for date, market, code, *_ in found if (date, market) == row[:2]} for row in found}
    assert named[16, "KOSPI"] == named[17, "KOSPI"] == {"A", "RARE"}
    assert named[19, "KOSPI"] == {"A"}, "the 18th was recorded too, so the 9th is too long ago"
    assert named[16, "KOSDAQ"] == {"C"} and named[19, "KOSDAQ"] == {"C", "D"}
    assert named[16, "KONEX"] == {None} and named[20, "KONEX"] == {"K"}
    assert (20, "KOSDAQ") not in named, "it was recorded in whole, and nothing was traded"
    assert not any(market == "ISSUES" or day in (14, 15, 21) for day, market in named)
    for day, rows in bars_of.items():
        expected = expected_bars(outages, dt.date(2026, 11, day), "09:00", "15:30", 600, 0)
        assert sorted(rows, key=order) == expected, day
    assert all(row[3:] == (None, None, None, None, False) for row in bars_of[16]) and len(bars_of[16]) == 39 * 4


Sent = tuple[str, int, int]
"""A record of a session: code, `trade_time`, price. The volume is 10 in all of them. 0 as time is a signal."""


def write_sessions(made: Made, market: str, sessions: dict[int, list[list[Sent]]], gap: int = 3) -> list[dict[str, Any]]:
    """Writes the sessions' frames as a day of trades, with frames between them that have no row. The rows in order."""
    rows, frame = [], 0
    for session, frames in sessions.items():
        frame += gap
        for records in frames:
            frame += 1
            for item, (code, time, price) in enumerate(records):
                row = {"code": code, "trade_time": time, "price": price, "volume": 10, "frame": frame, "item": item}
                row |= {"session": session, "kind": "trade" if time else "before_first_trade"}
                rows.append(row | {"trade_ts": korean(DAY, "09:00"), "recv_ts": korean(DAY, "09:00")})
    made.write("trades", DAY, market, pa.Table.from_pylist(rows[::-1], TRADES))
    return rows


def again(rows: list[dict[str, Any]]) -> list[tuple[int, int, int, int]]:
    """(frame, item, first_frame, first_item) of the records that were sent again, by the definition, word for word."""
    found = []
    sessions = sorted({row["session"] for row in rows})
    for before, after in zip(sessions, sessions[1:], strict=False):
        ending, beginning = ([row for row in rows if row["session"] == session] for session in (before, after))
        for length in range(min(len(ending), len(beginning)), 0, -1):
            pairs = list(zip(ending[-length:], beginning[:length], strict=True))
            same = all(one[name] == two[name] for one, two in pairs for name in ("code", "trade_time", "price", "volume"))
            if same and any(one["kind"] == "trade" for one, _ in pairs):
                found += [(two["frame"], two["item"], one["frame"], one["item"]) for one, two in pairs]
                break
    return found


RESENT = "SELECT frame, item, first_frame, first_item FROM resent('2026-11-20') WHERE market = '{}' ORDER BY frame, item"


def resent(made: Made, market: str = "KOSPI") -> list[tuple[int, int, int, int]]:
    made.coverage(DAY, market, ("00:00", "24:00", "live"))
    with connect(made.data_dir) as connection:
        return connection.execute(RESENT.format(market)).fetchall()


def frames_of(*codes: str) -> list[list[Sent]]:
    """A frame for each text, a record for each letter: of an issue of that name, at a time and a price of its own."""
    return [[(letter, ord(letter) * 100, ord(letter)) for letter in text] for text in codes]


@pytest.mark.parametrize(
    ("sessions", "count"),
    [
        ({1: ["AB", "CD", "E"], 2: ["CD", "E", "FG"]}, 3),
        # The frames may be packed in another way, and the sessions between them may have brought nothing.
        ({1: ["AB", "CD", "E"], 4: ["C", "DE", "FG"]}, 3),
        # All of a session, and more than the session before it had.
        ({1: ["AB", "CD"], 2: ["AB", "CD"]}, 4),
        ({1: ["AB"], 2: ["AB", "CD"], 3: ["CD"]}, 4),
        # The longest of several.
        ({1: ["XABAB"], 2: ["ABABC"]}, 4),
        ({1: ["XAAA"], 2: ["AAAAB"]}, 3),
        # What repeats otherwise is nothing of the kind: elsewhere in the session before, in part, in another order.
        ({1: ["AB", "CD", "E"], 2: ["AB", "CD", "F"]}, 0),
        ({1: ["AB", "CD"], 2: ["CX", "D"]}, 0),
        ({1: ["AB", "CD"], 2: ["BA", "CD"]}, 0),
        ({1: ["ABAB", "AB"]}, 0),
        ({1: ["AB"], 2: ["C"], 3: ["AB"]}, 0),
    ],
)
def test_records_that_were_sent_again(tmp_path: Path, sessions: dict[int, list[str]], count: int) -> None:
    made = Made(tmp_path / "data")
    rows = write_sessions(made, "KOSPI", {number: frames_of(*frames) for number, frames in sessions.items()})
    found = resent(made)
    assert found == again(rows) and len(found) == count


def test_each_value_of_a_record_counts_and_signals_alone_do_not(tmp_path: Path) -> None:
    signal, trade = ("S", 0, 7), ("T", 9_000_000, 8)
    for number, (ending, beginning, count) in enumerate(
        [
            ([signal, signal], [signal, signal], 0),
            ([signal, trade], [signal, trade], 2),
            ([trade, signal], [trade, signal, trade], 2),
            ([trade], [("U", *trade[1:])], 0),
            ([trade], [(trade[0], 9_000_001, 8)], 0),
            ([trade], [(*trade[:2], 9)], 0),
        ]
    ):
        made = Made(tmp_path / str(number))
        rows = write_sessions(made, "KOSPI", {1: [[("A", 8_000_000, 1)], ending], 2: [beginning]})
        found = resent(made)
        assert found == again(rows) and len(found) == count, number


def test_markets_are_apart_and_a_day_without_them_can_be_had(tmp_path: Path) -> None:
    made = Made(tmp_path / "data")
    write_sessions(made, "KOSPI", {1: frames_of("AB", "CD"), 2: frames_of("CD", "EF")})
    write_sessions(made, "KOSDAQ", {1: frames_of("AB"), 2: frames_of("CD")})
    assert resent(made, "KOSDAQ") == [] and len(resent(made)) == 2
    with connect(made.data_dir) as connection:
        once = "FROM trades ANTI JOIN resent('2026-11-20') USING (date, market, frame, item)"
        codes = connection.execute(f"SELECT code {once} WHERE market = 'KOSPI' ORDER BY frame, item").fetchall()
        assert connection.execute(f"SELECT count(*) {once}").fetchall() == [(10,)]
        assert connection.execute("FROM resent('2026-11-19')").fetchall() == []
    assert "".join(code for (code,) in codes) == "ABCDEF"


@pytest.mark.parametrize("seed", range(10))
def test_any_sessions_agree_with_plain_python(tmp_path: Path, seed: int) -> None:
    made, dice = Made(tmp_path / "data"), random.Random(seed)
    sessions: dict[int, list[list[Sent]]] = {}
    sent: list[list[Sent]] = []
    for number in range(1, 30):
        # Few values, so that records are alike by chance; and some frames of the last session once more.
        fresh = [[(dice.choice("AB"), dice.choice([0, 1, 2]), 1) for _ in range(dice.randrange(1, 4))] for _ in range(4)]
        sessions[number] = sent[len(sent) - dice.randrange(len(sent) + 1) :] + fresh[: dice.randrange(5)]
        sessions[number] = sessions[number] or [[("A", 1, 1)]]
        sent = sessions[number]
    rows = write_sessions(made, "KOSPI", sessions)
    found = resent(made)
    assert found == again(rows) and len(found) > 20


@pytest.mark.parametrize(("messages", "count"), [(1000, 1000), (1001, 0)])
def test_a_thousand_messages_are_looked_at_on_both_sides(tmp_path: Path, messages: int, count: int) -> None:
    one_each = [[("A", 1 + at, 1)] for at in range(messages)]
    together = [[record for (record,) in one_each]]
    for number, (before, after) in enumerate([(one_each, together), (together, one_each)]):
        made = Made(tmp_path / str(number))
        write_sessions(made, "KOSPI", {1: [[("B", 1, 1)], *before], 2: [*after, [("C", 1, 1)]]})
        assert len(resent(made)) == count, number


def test_gaps_are_those_of_coverage(made: Made) -> None:
    with connect(made.data_dir) as connection:
        found = connection.execute("SELECT date, feed, length FROM gaps ORDER BY from_ts").fetchall()
        assert connection.execute("SELECT count(*) FROM coverage").fetchone() == (17,)
    seconds = [row[2].total_seconds() for row in found]
    assert [row[:2] for row in found] == [(BEFORE, "KOSPI")] + [(DAY, "KOSPI")] * 5
    assert seconds == [900.0, 1.0, 10.0, 30.0, 90.0, 60.0]


def test_quarantine_is_empty_where_nothing_was_quarantined(made: Made, recording: Recording) -> None:
    with connect(made.data_dir) as connection:
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        none = connection.sql("FROM quarantine").columns
        types = connection.sql("FROM quarantine").types
    with connect(recording.data_dir) as connection:
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (recording.expected.quarantine.num_rows,)
        assert connection.sql("FROM quarantine").columns == none
        assert connection.sql("FROM quarantine").types == types
        by_reason = connection.execute("SELECT reason, count(*), any_value(raw) FROM quarantine GROUP BY ALL").fetchall()
        trades = connection.execute("SELECT count(*) FROM trades").fetchone()
    assert len(by_reason) == 3 and all(raw for *_, raw in by_reason)
    assert trades == (recording.expected.trades.num_rows,)


@pytest.mark.parametrize("dataset", ["candles", "orders"])
def test_other_datasets_are_not_in_the_way(tmp_path: Path, made: Made, dataset: str) -> None:
    """Whatever partitions and columns they have."""
    data_dir = shutil.copytree(made.data_dir, tmp_path / "data")
    folder = data_dir / dataset / f"date={DAY}" / "another_key=ISSUES"
    folder.mkdir(parents=True)
    rows = pa.table({"frame": pa.array([1], pa.int64()), "raw": [b"not quarantined"], "bid": [1.5]})
    pq.write_table(rows, folder / f"{dataset}-20261120T090000-000000000001-000000000001.parquet")
    for count in (0, 1):
        with connect(data_dir) as connection:
            assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (count,)
            assert connection.execute("SELECT count(*) FROM coverage").fetchone() == (17,)
        quarantine = data_dir / "quarantine" / f"date={DAY}" / "feed=KOSPI"
        quarantine.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"frame": pa.array([1], pa.int64()), "raw": [b"x"]}), quarantine / "q.parquet")


ISSUE_VIEWS = [f"recorded_{name}" for name in fields.DATASETS if name not in ("indices", "changes")]
ISSUE_VIEWS += ["ticks", "quotes", "books", "derivative_ticks", "indices", "changes", "registrations", "active"]


def test_a_dataset_that_is_not_there_has_no_rows_until_it_is(
    tmp_path: Path, made: Made, issue_recording: IssueRecording
) -> None:
    """The same columns and types as where it is; and once there is a file, views that were made before it have its rows."""
    data_dir, whole = tmp_path / "data", issue_recording.data_dirs["recorded"]
    shutil.copytree(made.data_dir, data_dir)
    with connect(whole) as there, connect(data_dir) as absent:
        for view in ISSUE_VIEWS:
            assert absent.sql(f"FROM {view}").columns == there.sql(f"FROM {view}").columns, view
            assert absent.sql(f"FROM {view}").types == there.sql(f"FROM {view}").types, view
            assert absent.execute(f"SELECT count(*) FROM {view}").fetchone() == (0,), view
        for dataset in (*fields.DATASETS, "registrations"):
            shutil.copytree(whole / dataset, data_dir / dataset)
        for partition in (whole / "coverage").glob(f"date=*/feed={issues.FEED}"):
            shutil.copytree(partition, data_dir / partition.relative_to(whole))
        for view in ISSUE_VIEWS:
            count = f"SELECT count(*) FROM {view}"
            assert absent.execute(count).fetchone() == there.execute(count).fetchone() != (0,), view


def test_a_dataset_of_whole_dates_is_found_once_it_is_there(made: Made) -> None:
    """A view that was made before the first file has its rows, and opens files of the asked date alone."""
    rows = {"ts": [korean(DAY, "09:00")], "synchronised": [True], "offset_us": [-5], "max_error_us": [900], "source": ["kernel"]}
    with connect(made.data_dir) as connection:
        assert connection.execute("FROM clock").fetchall() == []
        types = connection.sql("FROM clock").types
        for date in (BEFORE, DAY):
            folder = made.data_dir / "clock" / f"date={date}"
            folder.mkdir(parents=True)
            pq.write_table(pa.table(rows), folder / f"clock-{date:%Y%m%d}T000000-000000000001-999999999999.parquet")
        expected = [(korean(DAY, "09:00"), True, -5, 900, "kernel", date) for date in (BEFORE, DAY)]
        assert connection.execute("FROM clock ORDER BY date").fetchall() == expected
        of_day = f"FROM clock WHERE date = '{DAY}'"
        assert connection.execute(of_day).fetchall() == expected[1:]
        plan = connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {of_day}").fetchall()[0][1]
        opened = re.findall(r'"Total Files Read": "(\d+)"', plan)
        assert opened == ["1"]
        assert connection.execute("FROM clock WHERE date = '2026-01-01'").fetchall() == []
    with connect(made.data_dir) as connection:
        assert connection.execute("FROM clock ORDER BY date").fetchall() == expected
        assert connection.sql("FROM clock").types == types
        assert "union_by_name" not in connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'clock'").fetchone()[0]


def test_no_result_is_a_hugeint(made: Made, issue_recording: IssueRecording) -> None:
    """DuckDB's own sums of BIGINT are, and pandas makes floats of them."""
    calls = [
        f"bars('{DAY}')", f"completeness('{DAY}')", f"resent('{DAY}')", f"spread('{DAY}')", f"depth('{DAY}')",
        f"trades_with_quotes('{DAY}')", f"recorded_issues('{DAY}')", f"completeness_in_shares('{DAY}')",
        f"volume_holes('{DAY}')", f"book_at('005930', '{DAY} 10:00:00+09')", f"trd_vol('{DAY}')",
    ]  # fmt: skip
    for data_dir in (made.data_dir, issue_recording.data_dirs["recorded"]):
        with connect(data_dir) as connection:
            views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
            macros = connection.execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE NOT internal").fetchall()
            for source in [*calls, *(name for (name,) in views)]:
                types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM {source})").fetchall())
                assert types and "HUGEINT" not in types.values(), (source, types)
            assert connection.sql("SELECT sum(volume) AS volume FROM trades").types == ["HUGEINT"]
    helpers = {"korean", "each_trade_once", "of_one_feed", "hours_of", "live_stretches", "issues_without_trades", "quote_states"}
    assert {name for (name,) in macros} - helpers == {call.split("(")[0] for call in calls}


def test_there_need_be_no_trades(tmp_path: Path, issue_recording: IssueRecording) -> None:
    """A recorder of the per-issue service alone has none, and its exact bars all the same."""
    data_dir = tmp_path / "data"
    shutil.copytree(issue_recording.data_dirs["recorded"], data_dir, ignore=shutil.ignore_patterns("trades"))
    with connect(data_dir) as connection:
        assert connection.execute("SELECT count(*) FROM trades").fetchone() == (0,)
        (day,) = connection.execute("SELECT DISTINCT date FROM ticks").fetchone()
        bars = f"SELECT count(*), bool_and(market IS NULL) FROM bars(DATE '{day}', width := INTERVAL '1 day', from_time := '00:00', to_time := '23:59:59')"
        assert connection.execute(bars).fetchone() == (len(issues.STOCKS), True)


def test_only_what_is_asked_for_is_read(twenty_days: Days) -> None:
    """A filter on the result reaches the files: those of other dates are not opened, other issues are not read."""
    every = len(list(twenty_days.data_dir.glob("trades/*/*/*.parquet")))
    with connect(twenty_days.data_dir) as connection:
        for call, share in (
            ("bars('2026-11-20')", 1 / 10),
            ("bars('2026-11-18', '2026-11-20')", 1 / 4),
            ("completeness('2026-11-20')", 1 / 10),
        ):
            # As JSON, since the drawn plan breaks lines anywhere.
            query = f"EXPLAIN (ANALYZE, FORMAT json) FROM {call} WHERE code = '{twenty_days.issues[3]}'"
            plan = connection.execute(query).fetchall()[0][1]
            opened = [int(count) for count in re.findall(r'"Total Files Read": "(\d+)"', plan)]
            assert opened and max(opened) <= every * share, (call, every, opened)
            assert f"code='{twenty_days.issues[3]}'" in plan.replace(" ", "").replace("\"", ""), plan


def grouped(plan: dict[str, Any]) -> list[int]:
    """The rows that come out of each aggregation of a plan."""
    rows = [plan["intermediate_rows"]] if plan.get("type") == "HASH_GROUP_BY" else []
    return rows + [row for below in plan.get("children", plan.get("operator", [])) for row in grouped(below)]


def test_a_list_of_issues_is_applied_before_bars_are_made(twenty_days: Days) -> None:
    """No aggregation has more rows than the result: bars of other issues are not made only to be dropped."""
    codes = ", ".join(f"'{code}'" for code in twenty_days.issues[:50])
    query = f"FROM bars('2026-11-16', '2026-11-20') WHERE code IN ({codes})"
    with connect(twenty_days.data_dir) as connection:
        [(rows,)] = connection.execute(f"SELECT count(*) {query}").fetchall()
        plan = json.loads(connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {query}").fetchall()[0][1])
        [(every,)] = connection.execute("SELECT count(*) FROM bars('2026-11-16', '2026-11-20')").fetchall()
    assert every > 10 * rows > 0
    assert max(grouped(plan)) == rows


def test_bars_of_several_days_are_those_of_each_day(outages: Made, twenty_days: Days) -> None:
    hours = "from_time := '09:00', to_time := '15:30', width := INTERVAL '10 minutes'"
    with connect(outages.data_dir) as connection:
        columns = "market, code, from_ts, records, volume, open, close, complete"
        together = connection.execute(f"SELECT {columns} FROM bars('2026-11-09', '2026-11-21', {hours})").fetchall()
    dates = [dt.date(2026, 11, day) for day in range(9, 22)]
    expected = [row for date in dates for row in expected_bars(outages, date, "09:00", "15:30", 600, 0)]
    assert sorted(together, key=order) == sorted(expected, key=order)
    codes = ", ".join(f"'{code}'" for code in twenty_days.issues[:20])
    with connect(twenty_days.data_dir) as connection:
        several = f"FROM bars('2026-11-16', last_day := '2026-11-20') WHERE code IN ({codes})"
        apart = " UNION ALL ".join(f"(FROM bars('2026-11-{day}'))" for day in range(16, 21))
        apart = f"FROM ({apart}) WHERE code IN ({codes})"
        [(rows, dates_of)] = connection.execute(f"SELECT count(*), count(DISTINCT date) {several}").fetchall()
        assert dates_of == 5 and rows % 390 == 0
        for one, other in ((several, apart), (apart, several)):
            assert connection.execute(f"({one}) EXCEPT ALL ({other})").fetchall() == []


def test_the_hours_are_the_calendars(made: Made, tmp_path: Path) -> None:
    """19 November 2026 is the day of the entrance exam; the configuration knows the 20th better."""
    bounds = """SELECT timezone('Asia/Seoul', min(from_ts))::VARCHAR, timezone('Asia/Seoul', max(to_ts))::VARCHAR
    FROM bars('2026-11-19', '2026-11-20') GROUP BY date ORDER BY date"""
    missing = "SELECT missing_s FROM completeness('2026-11-20') WHERE market = 'KOSPI' AND code = 'A'"
    exam = ("2026-11-19 10:00:00", "2026-11-19 16:30:00")
    with connect(made.data_dir) as connection:
        assert connection.execute(bounds).fetchall() == [exam, ("2026-11-20 09:00:00", "2026-11-20 15:30:00")]
        [(ordinary,)] = connection.execute(missing).fetchall()
        whole = "FROM bars('2026-11-19', from_time := '09:00', to_time := '15:30', width := INTERVAL '1 day')"
        assert connection.execute(f"SELECT DISTINCT to_ts {whole}").fetchall() == [(korean(BEFORE, "15:30"),)]
    days_file = tmp_path / "calendar.toml"
    days_file.write_text('[[day]]\ndate = "2026-11-20"\ntrading = true\nopen = "09:10"\nclose = "12:00"\n')
    config = tmp_path / "krx-recorder.toml"
    config.write_text(f"[schedule]\ncalendar_file = '{days_file}'\n")
    with connect(made.data_dir, "UTC", "--config", str(config)) as connection:
        assert connection.execute(bounds).fetchall() == [exam, ("2026-11-20 09:10:00", "2026-11-20 12:00:00")]
        # Idle until 09:11, and known until 09:13:30.
        assert connection.execute(missing).fetchall() == [(170 * 60 - 150,)] and ordinary > 170 * 60


def test_bars_of_a_day_with_a_gap_agree_with_plain_python(twenty_days: Days) -> None:
    _, market, begin, finish = days.GAP
    issue = twenty_days.issues[0]
    lost = (korean(DAY, str(begin)).timestamp() * 1000, korean(DAY, str(finish)).timestamp() * 1000)
    at_nine = int(korean(DAY, "09:00").timestamp() * 1000)
    expected = []
    for nth in range(390):
        since = at_nine + nth * 60_000
        until = since + 60_000
        clock = f"{9 + nth // 60:02}:{nth % 60:02}"
        trades = [
            row
            for row in twenty_days.trades
            if row["date"] == DAY and row["market"] == market and row["code"] == issue and since <= row["trade_ts"] < until
        ]
        prices = [row["price"] for row in trades]
        if since < lost[1] and until > lost[0]:
            expected.append((clock, *UNKNOWN))
        elif not trades:
            expected.append((clock, *NOTHING))
        else:
            volume = sum(row["volume"] for row in trades)
            expected.append((clock, prices[0], max(prices), min(prices), prices[-1], volume, len(trades), True))
    assert sum(bar[-1] is False for bar in expected) == 3
    found = bars(twenty_days.data_dir, "'2026-11-20'", f"market = '{market}' AND code = '{issue}'")
    assert found == expected


def test_the_file_and_the_command_are_one(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """From within the directory `krx.sql` gives what the printed views give from anywhere."""
    query = "SELECT * FROM bars('2026-11-20', to_time := '09:15') ORDER BY ALL"
    with connect(made.data_dir) as connection:
        printed = connection.execute(query).fetchall()
    monkeypatch.chdir(made.data_dir)
    with duckdb.connect() as connection:
        connection.execute(VIEWS)
        connection.execute(VIEWS)
        assert connection.execute(query).fetchall() == printed
        assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("Asia/Seoul",)


def test_a_directory_that_duckdb_cannot_name_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "back\\slash"
    odd.mkdir()
    for path, code in ((odd, 64), (tmp_path / "absent", 74)):
        command = [binary("KRX_RECORDER", "krx-recorder"), "sql", "--data-dir", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout) == (code, "")
        assert str(path) in done.stderr


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[tuple[Path, dt.date]]:
    """A recording whose connections broke now and then, briefly."""
    keep_clear_of_midnight()
    date = dt.datetime.now(ledger.KST).date()
    arguments = ["--speed", "max", "--seed", "3", "--trades-per-day", "40000"]
    for market in ("KOSPI", "KOSDAQ"):
        for fault in ("disconnect@500", "resend@1500"):
            arguments += ["--fault", f"{fault},market={market}"]
    simulator = Simulator(tmp_path / "ledger.jsonl", arguments)
    try:
        recorder = Recorder(tmp_path, simulator.url)
        try:
            simulator.wait_for_day(2, 120.0, recorder)
            recorder.stop()
        finally:
            end(recorder.process)
    finally:
        simulator.stop()
    yield recorder.data_dir, date
    shutil.rmtree(recorder.data_dir)


def test_real_records_that_were_sent_again(broken: tuple[Path, dt.date]) -> None:
    data_dir, date = broken
    sent: dict[tuple[str, int], list[int]] = {}
    for line in (data_dir.parent / "ledger.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "data":
            sent.setdefault((entry["market"], entry["session"]), []).append(entry["records"])
    with connect(data_dir) as connection:
        found = connection.execute(
            f"""SELECT market, session, count(*), count(DISTINCT (first_frame, first_item)), bool_and(first_session < session)
            FROM resent('{date}') GROUP BY ALL ORDER BY ALL"""
        ).fetchall()
    counts = [(market, 3, sum(sent[market, 3][:20])) for market in ("KOSDAQ", "KOSPI")]
    assert found == [(*row, row[2], True) for row in counts]


def test_real_gaps(broken: tuple[Path, dt.date]) -> None:
    """Of a recording with real gaps: the bars around each are incomplete, and what is missing adds up."""
    data_dir, date = broken
    with connect(data_dir, "UTC") as connection:
        gaps = connection.execute("SELECT feed, from_ts, to_ts FROM gaps ORDER BY ALL").fetchall()
        assert {market for market, *_ in gaps} == {"KOSPI", "KOSDAQ"} and len(gaps) >= 4
        since = min(begin for _, begin, _ in gaps).astimezone(ledger.KST).replace(microsecond=0)
        until = max(finish for *_, finish in gaps).astimezone(ledger.KST) + dt.timedelta(seconds=1)
        hours = f"from_time := '{since:%H:%M:%S}', to_time := '{until:%H:%M:%S}'"
        incomplete = connection.execute(
            f"""SELECT DISTINCT market, from_ts FROM bars('{date}', width := INTERVAL '1 second', {hours})
            WHERE NOT complete AND open IS NULL AND volume IS NULL AND records IS NULL"""
        ).fetchall()
        every = connection.execute(
            f"SELECT DISTINCT market, from_ts FROM bars('{date}', width := INTERVAL '1 second', {hours})"
        ).fetchall()
        missing = dict(connection.execute(f"SELECT DISTINCT market, missing_s FROM completeness('{date}', {hours})").fetchall())
        unrecorded = connection.execute("SELECT feed, from_ts, to_ts FROM coverage WHERE state <> 'live'").fetchall()
        known = dict(connection.execute("SELECT feed, max(to_ts) FROM coverage GROUP BY feed").fetchall())
    end_of_hours = until.replace(microsecond=0)
    unrecorded += [(market, last, end_of_hours) for market, last in known.items() if last < end_of_hours]
    second = dt.timedelta(seconds=1)
    expected = {
        (market, start)
        for market, start in every
        if any(of == market and begin < start + second and finish > start for of, begin, finish in unrecorded)
    }
    assert set(incomplete) == expected
    for market, seconds in missing.items():
        clipped = [
            (min(finish, end_of_hours) - max(begin, since)).total_seconds()
            for of, begin, finish in unrecorded
            if of == market and finish > since and begin < end_of_hours
        ]
        assert seconds == pytest.approx(sum(clipped), abs=1e-5)


def test_before_the_first_file_all_views_are_empty(tmp_path: Path) -> None:
    """As a recorder leaves a new directory; and a directory that is none is refused."""
    (tmp_path / "data" / ".krx" / "journal").mkdir(parents=True)
    with connect(tmp_path / "data") as connection:
        views = [name for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
        assert len(views) > 20
        for view in set(views) - {"special_hours"}:
            assert connection.execute(f"SELECT count(*) FROM {view}").fetchone() == (0,), view
        for call in (
            f"bars('{DAY}')", f"completeness('{DAY}')", f"resent('{DAY}')", f"spread('{DAY}')", f"depth('{DAY}')",
            f"trades_with_quotes('{DAY}')", f"recorded_issues('{DAY}')", f"completeness_in_shares('{DAY}')",
            f"volume_holes('{DAY}')", f"book_at('005930', '{DAY} 10:00:00+09')",
        ):  # fmt: skip
            assert connection.execute(f"FROM {call}").fetchall() == [], call
        assert connection.execute(f"SELECT compared, answer FROM trd_vol('{DAY}')").fetchall() == [(0, None)]
    (tmp_path / "other").mkdir()
    command = [binary("KRX_RECORDER", "krx-recorder"), "sql", "--data-dir", str(tmp_path / "other")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (64, "") and "nothing is recorded in" in done.stderr
