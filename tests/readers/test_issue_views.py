"""The views and macros of `deploy/krx.sql` that are about the per-issue service, beside plain Python: over days made by hand
with gaps, lists that change, both presets of a code in two feeds and derivatives, and over a simulated day of both services."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import document
import fields
import ledger
import readers
from conftest import schemas
from processes import binary
from test_views import DAY, connect, korean

STOCKS, FUTURE = ("005930", "000660"), "101N6000"
FEEDS = ("ONE", "TWO")
OPEN_US = int(korean(DAY, "09:00").timestamp()) * 1_000_000
MIDNIGHT_MS = int(korean(DAY, "00:00").timestamp()) * 1000
SECONDS = 600
STEP_US = 250_000
LEVELS = {"books": 10, "derivative_books": 5}

Row = dict[str, Any]


@dataclass
class Stretch:
    """When a preset of an issue was active within a session."""

    feed: str
    preset: str
    code: str
    session: int
    from_us: int
    to_us: int

    def has(self, at_us: int) -> bool:
        """Whether what is sent then is received."""
        return self.from_us <= at_us <= self.to_us


@dataclass
class Made:
    """A day made by hand: what is in its files."""

    data_dir: Path
    ticks_have_totals: bool
    """Whether `tick` has accumulated volumes, as `tick10` has."""

    registered: list[Stretch] = field(default_factory=list)
    """When the server had a registration."""

    active: list[Stretch] = field(default_factory=list)
    """When its messages were recorded, too."""

    live: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def of(self, feed: str, preset: str, code: str) -> list[Stretch]:
        return [one for one in self.active if (one.feed, one.preset, one.code) == (feed, preset, code)]


def divided(dice: random.Random, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Some stretches between two instants, which may touch the instants of messages."""
    steps = sorted(dice.sample(range(begin // STEP_US, end // STEP_US), 2 * dice.randrange(1, 3)))
    for since, until in zip(steps[::2], steps[1::2], strict=True):
        shift = dice.choice([0, 100_000])
        yield since * STEP_US + shift, until * STEP_US + shift


def sessions(dice: random.Random, made: Made) -> None:
    """Decides what each feed has registered, and when. The first session of each has all of it to its end."""
    for feed in FEEDS:
        cut = OPEN_US + dice.randrange(200, 400) * 1_000_000
        spans = [(OPEN_US - 5_000_000, cut), (cut + 20_000_000, OPEN_US + SECONDS * 1_000_000)]
        for session, (begin, end) in enumerate(spans, 1):
            for preset in ("tick", "tick10", "quote", "quote10"):
                for code in (*STOCKS, FUTURE):
                    if dice.random() < 0.35:
                        continue
                    stretches = [(begin + 60_000, end)] if dice.random() < 0.5 else divided(dice, begin, end)
                    made.registered += [Stretch(feed, preset, code, session, *stretch) for stretch in stretches]
        # The disk refused for some seconds: only coverage says so.
        refused = (OPEN_US + 100_300_000, OPEN_US + 110_300_000)
        made.live[feed] = [(spans[0][0], refused[0]), (refused[1], spans[0][1]), spans[1]]
    for one in made.registered:
        for begin, end in made.live[one.feed]:
            from_us, to_us = max(one.from_us, begin), min(one.to_us, end)
            if from_us < to_us:
                made.active.append(replace(one, from_us=from_us, to_us=to_us))


def messages(dice: random.Random, made: Made) -> None:
    """Makes up what happens, and records it where it is registered."""
    frames, total = Counter[str](), Counter[str]()
    prices = {code: 1000.0 if code == FUTURE else 71_500 for code in (*STOCKS, FUTURE)}
    for step in range(SECONDS * 4):
        code = dice.choice((*STOCKS, FUTURE))
        tick = 0.05 if code == FUTURE else 100
        prices[code] = round(prices[code] + dice.choice([-tick, 0, tick]), 2)
        price, at_us = prices[code], OPEN_US + step * STEP_US
        said: list[tuple[str, Row]] = []
        if dice.random() < 0.6:
            volume = dice.randrange(1, 4)
            total[code] += volume
            seconds = step // 4
            time = int(f"9{seconds // 60:02}{seconds % 60:02}00")
            trade = {"trade_time": time, "trade_ts": MIDNIGHT_MS + (9 * 3600 + seconds) * 1000, "kind": "trade"}
            trade |= {"price": price, "volume": volume, "acc_volume": total[code]}
            said += [("tick", trade | {"acc_volume": total[code] if made.ticks_have_totals else None}), ("tick10", trade)]
            made.rows["underlying"].append({"code": code, "at_us": at_us, **trade})
        ask, bid = price + tick, price + dice.choice([0, -tick, tick])
        sizes = [dice.randrange(1, 9) for _ in range(20)]
        quote = {"ask_price": ask, "ask_size": sizes[0], "bid_price": bid, "bid_size": sizes[10], "kind": "update"}
        book: Row = {"kind": "update"}
        for level in range(LEVELS["derivative_books" if code == FUTURE else "books"]):
            book |= {f"ask_price_{level + 1:02}": round(ask + level * tick, 2), f"ask_size_{level + 1:02}": sizes[level]}
            book |= {f"bid_price_{level + 1:02}": round(bid - level * tick, 2), f"bid_size_{level + 1:02}": sizes[10 + level]}
        if code != FUTURE:
            quote |= {"acc_volume": total[code]}
            book |= {"acc_volume": total[code]}
        said += [("quote", quote), ("quote10", book)]
        for feed in FEEDS:
            for preset, values in said:
                for stretch in made.of(feed, preset, code):
                    # The server may send more of what has been cancelled, before it reads that.
                    is_late = preset.startswith("quote") and 0 < at_us - stretch.to_us < STEP_US
                    if stretch.has(at_us) or (is_late and not any(one.has(at_us) for one in made.of(feed, preset, code))):
                        frames[feed] += 1
                        # An answer with the state is the first that is received.
                        is_state = at_us == stretch.from_us and preset == "quote10"
                        row = {"code": code, "recv_us": at_us, "frame": frames[feed], "item": 0, "feed": feed}
                        row |= {"session": stretch.session, "preset": preset, **values}
                        row |= {"kind": "snapshot"} if is_state else {}
                        made.rows[fields.dataset_of(preset, code == FUTURE)].append(row)


def write(made: Made) -> None:
    """Writes the files of the per-issue datasets, coverage and registrations."""
    described = schemas()

    def table(dataset: str, rows: list[Row]) -> pa.Table:
        names = described[dataset].names
        plain = [{name: row.get(name, row.get(name.replace("_ts", "_us"))) for name in names} for row in rows]
        return pa.Table.from_pylist(plain, described[dataset])

    for feed in FEEDS:
        for dataset in ("ticks", "quotes", "books", "derivative_ticks", "derivative_quotes", "derivative_books"):
            put(made, dataset, feed, table(dataset, [row for row in made.rows[dataset] if row["feed"] == feed]))
        live = [
            {"from_us": begin, "to_us": end, "state": "live", "reason": "start", "session": session, "frames": 0, "rows": 0}
            for session, (begin, end) in zip((1, 1, 2), made.live[feed], strict=True)
        ]
        put(made, "coverage", feed, table("coverage", live))
        states = []
        for one in (one for one in made.registered if one.feed == feed):
            row = {"preset": one.preset, "code": one.code, "session": one.session, "state": "active", "detail": None}
            # What a session is told meanwhile divides a stretch, and ends nothing.
            middle = (one.from_us + one.to_us) // 2
            states += [row | {"from_us": one.from_us, "to_us": middle}]
            states += [row | {"from_us": middle, "to_us": one.to_us, "detail": "told"}]
            gone = {"session": None, "detail": "session_end"} if one.preset == "tick" else {}
            states += [row | {"from_us": one.to_us, "to_us": one.to_us + 1, "state": "requested", **gone}]
        put(made, "registrations", feed, table("registrations", states))


def put(made: Made, dataset: str, feed: str, table: pa.Table) -> None:
    folder = made.data_dir / dataset / f"date={DAY}" / f"{readers.key(dataset)}={feed}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"{dataset}-made.parquet")


@pytest.fixture(scope="module", params=range(6))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A day, by its seed."""
    dice = random.Random(request.param)
    made = Made(tmp_path_factory.mktemp("made"), ticks_have_totals=request.param != 5)
    sessions(dice, made)
    messages(dice, made)
    write(made)
    return made


@pytest.fixture(scope="module")
def views(made: Made) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(made.data_dir) as connection:
        yield connection


def us(instant: dt.datetime) -> int:
    """As in the files: microseconds since the Unix epoch."""
    return round(instant.timestamp() * 1_000_000)


TRADE = ("code", "trade_time", "price", "volume", "acc_volume")


@pytest.mark.parametrize("dataset", ["ticks", "derivative_ticks"])
def test_each_trade_is_there_once_and_from_the_best_source(
    made: Made, views: duckdb.DuckDBPyConnection, dataset: str
) -> None:
    without = {row["code"] for row in made.rows[dataset] if row["acc_volume"] is None}

    def trade_of(row: Row) -> tuple[Any, ...]:
        return tuple(None if name == "acc_volume" and row["code"] in without else row[name] for name in TRADE)

    by_source: dict[tuple[str, str], Counter[tuple[Any, ...]]] = defaultdict(Counter)
    for row in made.rows[dataset]:
        by_source[row["preset"], row["feed"]][trade_of(row)] += 1
    expected: Counter[tuple[Any, ...]] = Counter()
    for trades in by_source.values():
        expected |= trades
    query = f"SELECT {', '.join(TRADE)}, preset, feed FROM {dataset}"
    rows = [dict(zip((*TRADE, "preset", "feed"), row, strict=True)) for row in views.execute(query).fetchall()]
    found = [(*trade_of(row), row["preset"], row["feed"]) for row in rows]
    assert Counter(row[:5] for row in found) == expected and found
    # As many of each are of a source as it has more than all better ones.
    sources = sorted(by_source, key=lambda source: (source[0] == "tick", source[1]))
    for trade, count in expected.items():
        left, places = count, []
        for source in sources:
            more = min(left, max(by_source[source][trade] - (count - left), 0))
            places += [source] * more
            left -= more
        assert Counter(places) == Counter(row[5:] for row in found if row[:5] == trade), trade


@pytest.mark.parametrize("dataset", ["quotes", "books", "derivative_quotes", "derivative_books"])
def test_quotes_are_of_one_feed_at_a_time(made: Made, views: duckdb.DuckDBPyConnection, dataset: str) -> None:
    def counts(row: Row) -> bool:
        better = [
            one
            for feed in FEEDS
            if feed < row["feed"]
            for one in made.of(feed, row["preset"], row["code"])
            if one.from_us < row["recv_us"] <= one.to_us
        ]
        return row["kind"] != "snapshot" and not better

    expected = sorted((row["feed"], row["frame"]) for row in made.rows[dataset] if counts(row))
    assert views.execute(f"SELECT feed, frame FROM {dataset} ORDER BY ALL").fetchall() == expected


def quoting(made: Made, code: str) -> tuple[str, str] | None:
    """The preset and the feed that an issue's best quotes are of."""
    ranked = sorted(
        {(one.preset != "quote10", one.feed) for one in made.active if one.code == code and one.preset.startswith("quote")}
    )
    return ("quote" if ranked[0][0] else "quote10", ranked[0][1]) if ranked else None


def states(made: Made, code: str) -> list[Row]:
    """Its states, in their order."""
    source = quoting(made, code)
    if source is None:
        return []
    rows = made.rows[fields.dataset_of(source[0], code == FUTURE)]
    known = made.of(source[1], source[0], code)
    of_source = [row for row in rows if (row["code"], row["feed"]) == (code, source[1])]
    return [row for row in of_source if any(one.has(row["recv_us"]) for one in known)]


def best(row: Row) -> tuple[Any, ...]:
    level = "_01" if row["preset"] == "quote10" else ""
    return tuple(row[f"{name}{level}"] for name in ("ask_price", "ask_size", "bid_price", "bid_size"))


def test_each_trade_has_the_quote_before_it(made: Made, views: duckdb.DuckDBPyConnection) -> None:
    query = f"FROM trades_with_quotes('{DAY}')"
    found = views.execute(query).fetchall()
    names = [column[0] for column in views.execute(query).description]
    expected_count = views.execute("SELECT count(*) FROM (SELECT code FROM ticks UNION ALL SELECT code FROM derivative_ticks)")
    assert len(found) == expected_count.fetchone()[0] > 500
    known = 0
    for values in found:
        trade = dict(zip(names, values, strict=True))
        code, recv_us = trade["code"], us(trade["recv_ts"])
        source, before = quoting(made, code), None
        for state in states(made, code):
            is_before = state["frame"] < trade["frame"] if source[1] == trade["feed"] else state["recv_us"] < recv_us
            before = state if is_before else before
        stretches = made.of(source[1], source[0], code) if source else []
        if before and not any(one.has(before["recv_us"]) and recv_us <= one.to_us for one in stretches):
            before = None
        expected = (*best(before), before["recv_us"]) if before else (None,) * 5
        quote_us = us(trade["quote_ts"]) if trade["quote_ts"] else None
        quote = tuple(trade[name] for name in ("ask_price", "ask_size", "bid_price", "bid_size"))
        assert (*quote, quote_us) == expected, trade
        known += before is not None
    assert 0 < known < len(found)


def test_a_spread_holds_until_the_next_state_or_the_end_of_what_is_known(
    made: Made, views: duckdb.DuckDBPyConnection
) -> None:
    for code in (*STOCKS, FUTURE):
        source, expected = quoting(made, code), []
        rows = states(made, code)
        for row, after in zip(rows, [*rows[1:], None], strict=True):
            (stretch,) = [one for one in made.of(source[1], source[0], code) if one.has(row["recv_us"])][:1]
            until_us = min(stretch.to_us, after["recv_us"] if after else stretch.to_us)
            ask, _, bid, _ = best(row)
            expected.append((row["recv_us"], until_us, round(ask - bid, 6), round(20000 * (ask - bid) / (ask + bid), 6)))
        hours = [OPEN_US + 60_100_000, OPEN_US + 480_000_000]
        expected = [(max(row[0], hours[0]), min(row[1], hours[1]), *row[2:]) for row in expected]
        expected = [row for row in expected if row[0] < row[1]]
        query = f"SELECT from_ts, to_ts, spread, spread_bps, seconds FROM spread('{DAY}', '{code}', '09:01:00.1', '09:08') ORDER BY from_ts"
        found = views.execute(query).fetchall()
        assert [(us(row[0]), us(row[1]), round(row[2], 6), round(row[3], 6)) for row in found] == expected
        assert all(round(row[4] * 1e6) == us(row[1]) - us(row[0]) for row in found)


def test_the_book_at_any_instant(made: Made, views: duckdb.DuckDBPyConnection) -> None:
    dice, known = random.Random(1), 0
    edges = [at for one in made.active if one.preset == "quote10" for at in (one.from_us, one.to_us)]
    for nth in range(150):
        code = dice.choice((*STOCKS, FUTURE))
        at_us = OPEN_US + dice.randrange(-10_000_000, SECONDS * 1_000_000 + 10_000_000)
        if nth % 3 == 0:
            at_us -= at_us % STEP_US
        if nth % 3 == 1:
            at_us = dice.choice(edges) + dice.choice([-1, 0, 1])
        dataset = fields.dataset_of("quote10", code == FUTURE)
        expected: list[tuple[Any, ...]] = []
        for feed in FEEDS:
            stretches = [one for one in made.of(feed, "quote10", code) if one.has(at_us)]
            if stretches:
                rows = [
                    row
                    for row in made.rows[dataset]
                    if (row["code"], row["feed"]) == (code, feed) and stretches[-1].from_us <= row["recv_us"] <= at_us
                ]
                for level in range(1, LEVELS[dataset] + 1) if rows else []:
                    names = [f"{side}_{what}_{level:02}" for side in ("ask", "bid") for what in ("price", "size")]
                    expected.append((level, *(rows[-1][name] for name in names), rows[-1]["recv_us"]))
                break
        instant = f"make_timestamptz({at_us})"
        found = views.execute(f"FROM book_at('{code}', {instant}) ORDER BY level").fetchall()
        assert [(*row[:5], us(row[5])) for row in found] == expected
        known += bool(expected)
    assert 0 < known < 150


@pytest.mark.parametrize("levels", [1, 3, 10])
def test_depth_is_the_sum_of_its_levels(made: Made, views: duckdb.DuckDBPyConnection, levels: int) -> None:
    found = views.execute(f"SELECT feed, code, frame, ask_size, bid_size, imbalance FROM depth('{DAY}', levels := {levels})")
    rows = {(row["feed"], row["code"], row["frame"]): row for name in LEVELS for row in made.rows[name]}
    count = 0
    for feed, code, frame, ask, bid, imbalance in found.fetchall():
        row = rows[feed, code, frame]
        asks, bids = ([row.get(f"{side}_size_{level:02}", 0) for level in range(1, levels + 1)] for side in ("ask", "bid"))
        assert (ask, bid) == (sum(asks), sum(bids))
        assert imbalance == pytest.approx((bid - ask) / (bid + ask))
        count += 1
    both = views.execute("SELECT (SELECT count(*) FROM books) + (SELECT count(*) FROM derivative_books)").fetchone()
    assert both == (count,) and count > 100


def test_what_was_registered_and_for_how_long(made: Made, views: duckdb.DuckDBPyConnection) -> None:
    query = f"SELECT feed, preset, code, state, active_s, share FROM recorded_issues('{DAY}', '09:00', '09:10') ORDER BY ALL"
    expected = []
    for feed, preset, code in sorted({(one.feed, one.preset, one.code) for one in made.active}):
        stretches = made.of(feed, preset, code)
        end_us = OPEN_US + SECONDS * 1_000_000
        inside = sum(max(min(one.to_us, end_us) - max(one.from_us, OPEN_US), 0) for one in stretches)
        active_s = sum(one.to_us - one.from_us for one in stretches) / 1e6
        # The last state in a session, not what became of it when there was none.
        state = "active" if preset == "tick" else "requested"
        expected.append((feed, preset, code, state, active_s, pytest.approx(inside / (SECONDS * 1e6))))
    assert views.execute(query).fetchall() == expected


def test_completeness_in_shares_is_that_of_the_rows(made: Made, views: duckdb.DuckDBPyConnection) -> None:
    query = f"SELECT code, traded, ticks, ticks_share, trades, trades_share FROM completeness_in_shares('{DAY}') ORDER BY code"
    found = views.execute(query).fetchall()
    expected = []
    for code in sorted(STOCKS):
        of_code = [row for name in ("ticks", "quotes", "books") for row in made.rows[name] if row["code"] == code]
        seen = [row["acc_volume"] for row in of_code if row["acc_volume"] is not None and row["kind"] != "snapshot"]
        if seen:
            ticks = views.execute(f"SELECT sum(volume) FROM ticks WHERE code = '{code}'").fetchone()[0]
            share = None if ticks is None or max(seen) == 0 else pytest.approx(ticks / max(seen))
            expected.append((code, max(seen), ticks, share, None, None))
    assert found == expected and found


def test_a_snapshots_total_is_not_that_of_the_day(made: Made, tmp_path: Path) -> None:
    """Before the open it may be that of the day before."""
    folder = shutil.copytree(made.data_dir, tmp_path / "data")
    path = next((folder / "ticks").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    row = table.slice(0, 1).to_pylist()[0] | {"kind": "snapshot", "acc_volume": 10**9}
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist([row], table.schema)]), path)
    query = f"FROM completeness_in_shares('{DAY}') ORDER BY code"
    with connect(made.data_dir) as before, connect(folder) as after:
        assert after.execute(query).fetchall() == before.execute(query).fetchall()


def test_volume_holes_are_the_trades_that_no_source_had(made: Made, views: duckdb.DuckDBPyConnection) -> None:
    """By the trades that were made up: those between two that were recorded are the hole between them."""
    if not made.ticks_have_totals:
        pytest.skip("without accumulated volumes there is nothing to compare")
    query = f"SELECT code, from_ts, to_ts, acc_before, acc_volume, missing, known FROM volume_holes('{DAY}') ORDER BY code, acc_before"
    found = [
        (code, from_ts and us(from_ts), us(to_ts), *rest) for code, from_ts, to_ts, *rest in views.execute(query).fetchall()
    ]
    expected = []
    for code in STOCKS:
        sources = [one for one in made.active if one.code == code and one.preset.startswith("tick")]
        before, from_us, missing, is_recorded = 0, None, 0, False
        trades = [row for row in made.rows["underlying"] if row["code"] == code]
        quotes = [
            (row["acc_volume"], row["recv_us"])
            for name in ("quotes", "books")
            for row in made.rows[name]
            if row["code"] == code and (row["kind"] != "snapshot")
        ]
        for trade in trades:
            if any(one.has(trade["at_us"]) for one in sources):
                if missing:
                    known = not any(
                        one.from_us <= (from_us or OPEN_US - 3_600_000_000) and trade["at_us"] <= one.to_us for one in sources
                    )
                    acc = trade["acc_volume"]
                    expected.append((code, from_us, trade["at_us"], before, acc, missing, known))
                before, from_us, missing, is_recorded = trade["acc_volume"], trade["at_us"], 0, True
            else:
                missing += trade["volume"]
        last = max((acc for acc, _ in quotes), default=0)
        if is_recorded and last > before:
            to_us = min(recv_us for acc, recv_us in quotes if acc == last)
            known = not any(one.from_us <= from_us and to_us <= one.to_us for one in sources)
            expected.append((code, from_us, to_us, before, last, last - before, known))
    assert found == sorted(expected, key=lambda hole: (hole[0], hole[3]))


def test_bars_are_exact_where_trades_were_registered_all_along(made: Made, views: duckdb.DuckDBPyConnection) -> None:
    found = views.execute(f"FROM bars('{DAY}', to_time := '09:10') ORDER BY code, from_ts").fetchall()
    traded = sorted({row["code"] for row in made.rows["ticks"]})
    assert [(row[2], us(row[3])) for row in found] == [
        (code, OPEN_US + minute * 60_000_000) for code in traded for minute in range(10)
    ]
    exact = 0
    for _, market, code, from_ts, to_ts, *values, complete, is_exact in found:
        begin, end = us(from_ts), us(to_ts)
        sources = {(one.feed, one.preset) for one in made.active if one.code == code and one.preset.startswith("tick")}

        def within(spans: list[tuple[int, int]], begin: int = begin, end: int = end) -> bool:
            return sum(max(min(until, end) - max(since, begin), 0) for since, until in spans) >= end - begin

        all_along = [
            within([(one.from_us, one.to_us) for one in made.of(feed, preset, code)]) and within(made.live[feed])
            for feed, preset in sources
        ]
        assert (market, complete, is_exact) == (None, any(all_along), any(all_along))
        trades = [
            row
            for row in made.rows["underlying"]
            if row["code"] == code and begin <= row["trade_ts"] * 1000 < end
        ]
        prices = [row["price"] for row in trades]
        if not any(all_along):
            assert values == [None] * 6
        elif trades:
            volume = sum(row["volume"] for row in trades)
            assert values == [prices[0], max(prices), min(prices), prices[-1], volume, len(trades)]
        else:
            assert values == [None, None, None, None, 0, 0]
        exact += any(all_along)
    assert 0 < exact < len(found)


def test_a_condition_on_the_date_reaches_the_registrations(made: Made, tmp_path: Path) -> None:
    """Those of other dates are not opened."""
    folder = shutil.copytree(made.data_dir, tmp_path / "data")
    for days_before in range(1, 20):
        date = DAY - dt.timedelta(days=days_before)
        shutil.copytree(folder / "registrations" / f"date={DAY}", folder / "registrations" / f"date={date}")
    with connect(folder) as connection:
        for query in ("books", "quotes", "ticks"):
            query = f"EXPLAIN (ANALYZE, FORMAT json) FROM {query} WHERE date = DATE '{DAY}' AND code = '{STOCKS[0]}'"
            plan = connection.execute(query).fetchall()[0][1]
            opened = [int(count) for count in re.findall(r'"Total Files Read": "(\d+)"', plan)]
            assert opened and max(opened) <= len(FEEDS), plan


def made_days(folder: Path, *options: str) -> None:
    command = [binary("KRX_BENCH", "krx-bench"), "days", str(folder), "--days", "1", "--until", str(DAY), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


GAPS = (f"{DAY},ISSUES,10:00:30,10:20:00", f"{DAY},ISSUES,13:30:00,13:31:00", f"{DAY},KOSPI,11:00:00,11:30:00")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Row]]]:
    """A simulated day of both services with gaps, and what was traded on it: of each issue its trades and blocks."""
    whole, folder = (tmp_path_factory.mktemp(name) for name in ("whole", "days"))
    made_options = ["--records-last", "60000", "--seed", "11"]
    made_days(whole / "data", *made_options, "--pushes", "tick10", "--messages", str(whole))
    traded: dict[str, list[Row]] = defaultdict(list)
    for line in next(whole.glob("*.jsonl")).read_text().splitlines():
        push = json.loads(line)["params"]
        traded[push["isuSrtCd"]].append(push)
    gaps = [word for gap in GAPS for word in ("--gap", gap)]
    made_days(folder, *made_options, *gaps)
    made_days(folder, *made_options, *gaps, "--pushes", "tick,tick10,quote10")
    return folder, traded


def is_traded(push: Row) -> bool:
    """Whether it is a trade or a block trade, and no signal."""
    return ledger.clock_ms(push["trdTm"]) is not None or push["trdTm"] in (51_000_000, 61_000_000, 71_000_000)


def is_lost(push: Row, feed: str) -> bool:
    """Whether it was made in a gap of a feed; none of those of `GAPS` begins or ends within a second of a trade."""
    clock = ledger.clock_ms(push["trdTm"])
    lost = [gap.split(",")[2:] for gap in GAPS if gap.split(",")[1] == feed]
    spans = [[korean(DAY, edge).timestamp() * 1000 - MIDNIGHT_MS for edge in edges] for edges in lost]
    return clock is not None and any(begin < clock <= end for begin, end in spans)


def test_completeness_in_shares_of_a_simulated_day(simulated: tuple[Path, dict[str, list[Row]]]) -> None:
    folder, traded = simulated
    with connect(folder) as connection:
        found = connection.execute(f"FROM completeness_in_shares('{DAY}')").fetchall()
        holes = dict(connection.execute(f"SELECT code, sum(missing) FROM volume_holes('{DAY}') GROUP BY code").fetchall())
        assert connection.execute(f"SELECT bool_and(known) FROM volume_holes('{DAY}')").fetchone() == (True,)
        markets = dict(connection.execute("SELECT DISTINCT code, market FROM trades").fetchall())
    assert {row[1] for row in found} == set(traded) and len(found) == 100
    for _, code, shares, ticks, ticks_share, trades, trades_share in found:
        pushes = [push for push in traded[code] if is_traded(push)]
        assert shares == traded[code][-1]["accTrdvol"] == sum(push["trdvol"] for push in pushes)
        assert ticks == shares - holes.get(code, 0)
        assert ticks_share == pytest.approx(ticks / shares)
        # The simulator's full-market feed has the sum of each half second: it lacks what was traded in its gaps.
        assert trades_share == pytest.approx(trades / shares) and (trades == shares or markets[code] == "KOSPI")
        kept = sum(push["trdvol"] for push in pushes if not is_lost(push, "ISSUES"))
        assert abs(ticks - kept) <= 0.01 * shares, code


AUCTIONS = (("08:40", "09:00"), ("15:20", "15:30"))


def test_through_the_auctions_of_a_simulated_day(simulated: tuple[Path, dict[str, list[Row]]]) -> None:
    """While prices are collected, books come and nothing trades; the auction's trades have the quote before them."""
    folder, traded = simulated
    lost = [gap.split(",")[2:] for gap in GAPS if gap.split(",")[1] == "ISSUES"]
    edges = [us(korean(DAY, edge)) for edge in ("08:20:00.08", *(edge for gap in lost for edge in gap), "20:10")]
    stretches = list(zip(edges[::2], edges[1::2], strict=True))
    table = {name: pa.concat_tables(pq.read_table(path, partitioning=None) for path in sorted(folder.glob(f"{name}/*/*/*.parquet")))
             for name in ("books", "ticks")}  # fmt: skip
    busiest = sorted(traded, key=lambda code: -len(traded[code]))[:5]
    auctioned = 0
    with connect(folder) as connection:
        for code in busiest:
            books, ticks = (of.filter(pc.equal(of["code"], code)).to_pylist() for of in (table["books"], table["ticks"]))
            for begin, end in AUCTIONS:
                window = us(korean(DAY, begin)), us(korean(DAY, end))
                expected = []
                for book, after in zip(books, [*books[1:], None], strict=True):
                    since = us(book["recv_ts"])
                    until = next(until for start, until in stretches if start <= since <= until)
                    until = min(until, us(after["recv_ts"]) if after else until)
                    held = max(since, window[0]), min(until, window[1])
                    if held[0] < held[1]:
                        expected.append((*held, book["ask_price_01"] - book["bid_price_01"]))
                query = f"SELECT from_ts, to_ts, spread FROM spread('{DAY}', '{code}', '{begin}', '{end}') ORDER BY from_ts"
                found = [(us(since), us(until), spread) for since, until, spread in connection.execute(query).fetchall()]
                assert found == expected and len(found) > 1, (code, begin)
                during = [book for book in books if window[0] < us(book["recv_ts"]) < window[1]]
                assert during and all(book["expected_price"] > 0 for book in during)
                assert not [tick for tick in ticks if window[0] < us(tick["recv_ts"]) < window[1] and tick["kind"] == "trade"]
            query = f"SELECT frame, ask_price, bid_price, quote_ts FROM trades_with_quotes('{DAY}', '{code}') ORDER BY frame, item"
            found = connection.execute(query).fetchall()
            trades = [tick for tick in ticks if tick["kind"] == "trade" and tick["preset"] == "tick10"]
            assert [row[0] for row in found] == [tick["frame"] for tick in trades]
            at = -1
            for tick, (_, ask, bid, quote_ts) in zip(trades, found, strict=True):
                while at + 1 < len(books) and books[at + 1]["frame"] < tick["frame"]:
                    at += 1
                book, received = books[at] if at >= 0 else None, us(tick["recv_ts"])
                is_known = book and any(begin <= us(book["recv_ts"]) and received <= end for begin, end in stretches)
                expected = (book["ask_price_01"], book["bid_price_01"], book["recv_ts"]) if is_known else (None, None, None)
                assert (ask, bid, quote_ts) == expected, tick
            opening = [tick for tick in trades if tick["trade_time"] // 10_000 in (900, 1530) and us(tick["recv_ts"]) % 60_000_000 < 1_000_000]
            auctioned += len(opening)
    assert auctioned > 0


def test_trd_vol_of_a_simulated_day(simulated: tuple[Path, dict[str, list[Row]]], tmp_path: Path) -> None:
    folder, _ = simulated
    with connect(folder) as connection:
        _, compared, since_last, last_trade, cumulative, answer = connection.execute(f"FROM trd_vol('{DAY}')").fetchone()
        assert answer == "since_last" and compared >= since_last > 0.99 * compared and compared > 1000
        assert last_trade < 0.9 * compared and cumulative < 0.1 * compared
        # The same feed, if it told something else, told it sometimes, or told little.
        connection.execute(
            "CREATE TEMP TABLE told AS SELECT trades.*, last_volume, total FROM trades JOIN "
            "(SELECT code, trade_time, max_by(volume, (recv_ts, frame, item)) AS last_volume, max(acc_volume) AS total "
            "FROM ticks WHERE kind = 'trade' GROUP BY ALL) USING (code, trade_time) WHERE kind = 'trade'"
        )
        for volume, frames_max, expected in (
            ("total", 10**12, "cumulative"),
            ("last_volume", 10**12, "last_trade"),
            ("CASE WHEN frame % 5 = 0 THEN volume + 1 ELSE total END", 10**12, None),
            ("total", 20, None),
        ):
            view = f"SELECT * REPLACE (({volume})::BIGINT AS volume) FROM told WHERE frame <= {frames_max}"
            connection.execute(f"CREATE OR REPLACE TEMP VIEW trades AS {view}")
            assert connection.execute(f"SELECT answer FROM trd_vol('{DAY}')").fetchone() == (expected,), volume


def answered(library: str, text: str, data_dir: Path) -> list[tuple[Any, ...]]:
    """The answer of an example, instants in milliseconds."""
    if library == "duckdb":
        with connect(data_dir) as connection:
            table = connection.sql(text).to_arrow_table()
    else:
        answer = document.run_python(text)
        keys = library == "pandas" and answer.index.names != [None]
        table = answer.to_arrow() if library == "polars" else pa.Table.from_pandas(answer.reset_index() if keys else answer)
    columns = [
        column.cast(pa.timestamp("ms", "Asia/Seoul"), safe=False).cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in table.select([name for name in table.column_names if name != "__index_level_0__"]).columns
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


@pytest.mark.parametrize("question", document.BOOK_QUESTIONS)
def test_the_documents_questions_have_one_answer(
    question: str, simulated: tuple[Path, dict[str, list[Row]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In DuckDB, pandas and polars, of an issue that was traded much."""
    folder, traded = simulated
    issue = max(traded, key=lambda code: len(traded[code]))
    monkeypatch.chdir(folder)
    blocks = [block for block in document.blocks() if block.heading == question]
    assert [block.library for block in blocks] == ["duckdb", "pandas", "polars"]
    answers = [answered(block.library, document.about(block.text, issue, [issue]), folder) for block in blocks]
    first, *others = answers
    if question == "Exact bars":
        # The others have those of which a part was not recorded, too.
        exact = {bar[0] for bar in first}
        others = [[bar for bar in answer if bar[0] in exact] for answer in others]
    assert first and all(len(answer) == len(first) for answer in others)
    for answer in others:
        for mine, other in zip(answer, first, strict=True):
            assert len(mine) == len(other)
            for one, two in zip(mine, other, strict=True):
                # pandas has doubles, and NaN, where an integer may be missing.
                is_null = one is None or one != one
                assert (is_null and two is None) or one == pytest.approx(two, rel=1e-9), (mine, other)
