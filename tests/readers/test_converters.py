"""What `krxdata` writes for other programs: read back by numpy and DuckDB, and by the real packages where they are installed
(`make test-converters`)."""

from __future__ import annotations

import bisect
import csv
import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import IssueRecording
from days import LAST, Days
from test_issue_views import DAY, FUTURE, STOCKS, Made, made

import krxdata
from krxdata._events import Book, Trade, events

__all__ = ["made"]

pytestmark = pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")

CODE = "005930"
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
DEPTH, TRADE = 1, 2


@pytest.fixture(scope="module")
def data(issue_recording: IssueRecording) -> krxdata.Data:
    return krxdata.open(issue_recording.data_dirs["sealed"])


@pytest.fixture(scope="module")
def date(data: krxdata.Data) -> dt.date:
    ((found,),) = data.sql("SELECT DISTINCT date FROM coverage").fetchall()
    return found


def books_of(data: krxdata.Data, code: str, table: str = "recorded_books", depth: int = 10) -> list[tuple[int, dict[float, float], dict[float, float]]]:
    """When each book of an issue was received, µs, and its asks and bids, from when its registration was confirmed on: snapshots are
    books, too."""
    columns = [f"{side}_{what}_{level:02}" for side in ("ask", "bid") for what in ("price", "size") for level in range(1, depth + 1)]
    begin = f"SELECT min(from_ts) FROM active WHERE code = '{code}' AND preset = 'quote10'"
    query = f"SELECT epoch_us(recv_ts), {', '.join(columns)} FROM {table} WHERE code = '{code}' AND recv_ts >= ({begin})"
    found = []
    for at_us, *values in data.sql(f"{query} ORDER BY frame, item").fetchall():
        parts = [values[at : at + depth] for at in range(0, 4 * depth, depth)]
        asks, bids = ({price: size for price, size in zip(*pair) if price and size} for pair in (parts[:2], parts[2:]))
        if asks or bids:
            found.append((at_us, asks, bids))
    return found


def ticks_of(data: krxdata.Data, code: str, table: str = "ticks") -> list[tuple[int, float, int, str | None]]:
    query = f"SELECT epoch_us(recv_ts), price, volume, side FROM {table} WHERE code = '{code}' AND kind = 'trade' ORDER BY frame, item"
    return data.sql(query).fetchall()


@pytest.mark.parametrize(("code", "of", "depth"), [(CODE, "", 10), ("101N6000", "derivative_", 5)])
def test_hftbacktest_events_make_the_books_and_the_trades(data: krxdata.Data, date: dt.date, tmp_path: Path, code: str, of: str, depth: int) -> None:
    file = tmp_path / "day.npz"
    count = data.to_hftbacktest(file, code, date)
    events = np.load(file)["data"]
    assert len(events) == count and events.dtype.itemsize == 64
    assert (events["exch_ts"] == events["local_ts"]).all() and (np.diff(events["local_ts"]) >= 0).all()
    assert ((events["ev"] & (EXCH | LOCAL)) == (EXCH | LOCAL)).all()
    sides: dict[int, dict[float, float]] = {BUY: {}, SELL: {}}
    states: dict[int, tuple[dict[float, float], dict[float, float]]] = {}
    traded = []
    for event in events:
        what, flag, at = int(event["ev"]) & 0xFF, int(event["ev"]) & (BUY | SELL), int(event["local_ts"])
        if what == TRADE:
            traded.append((at // 1000, event["px"], event["qty"], {BUY: "buy", SELL: "sell"}.get(flag)))
            continue
        assert what == DEPTH, "hftbacktest's DEPTH_CLEAR takes a price, and leaves asks above it"
        if event["qty"] == 0:
            del sides[flag][float(event["px"])]
        else:
            sides[flag][float(event["px"])] = float(event["qty"])
        states[at // 1000] = (dict(sides[SELL]), dict(sides[BUY]))
    # Of several at one instant the last counts.
    expected = {at_us: (asks, bids) for at_us, asks, bids in books_of(data, code, f"recorded_{of}books", depth)}
    assert len(expected) > 50
    *instants, end_us = sorted(states)
    assert len(instants) > 50
    for at_us, state in expected.items():
        # A book that is as it was before is no event.
        assert states[instants[bisect.bisect_right(instants, at_us) - 1]] == state
    assert states[end_us] == ({}, {}), "where registration or recording ends, the book is not known"
    ticks = ticks_of(data, code, f"{of}ticks")
    assert traded == [(at_us, price, volume, side) for at_us, price, volume, side in ticks] and len(traded) > 50


@pytest.mark.parametrize("code", [*STOCKS, FUTURE])
def test_books_are_known_while_they_are_registered(made: Made, code: str) -> None:
    """Beside the view of states: with sessions that end, registrations that are cancelled, and what the server sends after that."""
    data = krxdata.open(made.data_dir)
    if not any(data.sql(f"SELECT 1 FROM active WHERE code = '{code}' AND preset = 'quote10'").fetchall()):
        pytest.skip("by chance it has no books")
    query = f"""SELECT epoch_us(recv_ts), ask_price, ask_size, bid_price, bid_size FROM quote_states('{DAY}') WHERE code = '{code}'
                ORDER BY recv_ts, frame NULLS LAST"""
    best = []
    for each in events(data, code, DAY):
        if isinstance(each, Book):
            ask, bid = min(each.asks.items(), default=(None, None)), max(each.bids.items(), default=(None, None))
            best.append((each.at_us, *ask, *bid))
    assert best == data.sql(query).fetchall()
    assert best[-1][1:] == (None,) * 4
    trades = [each for each in events(data, code, DAY) if isinstance(each, Trade)]
    counted = data.sql(f"SELECT count(*) FROM {'derivative_ticks' if code == FUTURE else 'ticks'} WHERE code = '{code}' AND kind = 'trade'")
    assert [(len(trades),)] == counted.fetchall()


def test_csv_files_are_those_of_the_answers(data: krxdata.Data, date: dt.date, tmp_path: Path) -> None:
    plain = tmp_path / "ticks.csv"
    ticks = data.ticks(CODE, date)
    price, rows = ticks.columns.index("price"), ticks.fetchall()
    assert data.to_csv(plain, CODE, date, rows="ticks") == len(rows) > 50
    with plain.open(newline="", encoding="utf-8") as lines:
        read = list(csv.DictReader(lines))
    assert [row["price"] for row in read] == [str(row[price]) for row in rows]
    packed = tmp_path / "ticks.csv.gz"
    data.to_csv(packed, CODE, date, rows="ticks")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ticks.csv", "ticks.csv.gz"]


def test_csv_files_have_the_columns_of_tardis(data: krxdata.Data, date: dt.date, tmp_path: Path) -> None:
    def read(rows: str) -> list[dict[str, str]]:
        file = tmp_path / f"{rows}.csv"
        data.to_csv(file, CODE, date, rows=rows, style="tardis")
        with file.open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))

    trades = read("trades")
    assert list(trades[0]) == ["exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"]
    expected = ticks_of(data, CODE)
    assert [(int(row["local_timestamp"]), float(row["price"]), int(row["amount"]), row["side"]) for row in trades] == [
        (at_us, price, volume, side or "unknown") for at_us, price, volume, side in expected
    ]
    assert len({row["id"] for row in trades}) == len(trades)
    quotes = read("quotes")
    assert list(quotes[0])[2:] == ["timestamp", "local_timestamp", "ask_amount", "ask_price", "bid_price", "bid_amount"]
    assert len(quotes) == len(data.quotes(CODE, date).fetchall())
    books = read("books")
    names = [f"{side}s[{level}].{name}" for level in range(10) for side in ("ask", "bid") for name in ("price", "amount")]
    assert list(books[0])[4:] == names
    assert [row["bids[9].price"] for row in books] == [
        str(price) for (price,) in data.sql(f"SELECT bid_price_10 FROM books WHERE code = '{CODE}' ORDER BY recv_ts, frame, item").fetchall()
    ]


def test_trades_of_the_market_can_be_written_too(twenty_days: Days, tmp_path: Path) -> None:
    data, code = krxdata.open(twenty_days.data_dir), twenty_days.issues[0]
    expected = [(row["price"], row["volume"]) for row in twenty_days.trades if row["code"] == code and row["date"] == LAST]
    data.to_hftbacktest(tmp_path / "day.npz", code, LAST, source="trades")
    events = np.load(tmp_path / "day.npz")["data"]
    assert [(event["px"], event["qty"]) for event in events] == expected
    file = tmp_path / "trades.csv"
    assert data.to_csv(file, code, LAST, style="tardis", source="trades") == len(expected)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(data: krxdata.Data, date: dt.date, tmp_path: Path) -> None:
    for ask, error, words in (
        (lambda: data.to_hftbacktest(tmp_path / "day.csv", CODE, date), krxdata.UsageError, "needs the suffix .npz"),
        (lambda: data.to_hftbacktest(tmp_path / "day.npz", "NONE", date), krxdata.NoDataError, "nothing of NONE on .* is in files"),
        (lambda: data.to_hftbacktest(tmp_path / "day.npz", ["A", "B"], date), krxdata.UsageError, "one issue code"),
        (lambda: data.to_csv(tmp_path / "a.csv", CODE, date, style="fancy"), krxdata.UsageError, "choose plain or tardis"),
        (lambda: data.to_csv(tmp_path / "a.csv", "101N6000", date, rows="ticks"), krxdata.NoDataError, "no such ticks are in files"),
        (lambda: data.to_csv(tmp_path / "a.csv", "5930", date, style="tardis"), krxdata.UsageError, "has it lost its zeros"),
        (lambda: data.to_hftbacktest(tmp_path / "day.npz", CODE, None), krxdata.UsageError, "a date is needed"),
        (lambda: data.to_nautilus(tmp_path / "catalog", CODE, None), krxdata.UsageError, "a date is needed"),
        (lambda: data.to_hftbacktest(tmp_path / "no" / "day.npz", CODE, date), krxdata.KrxDataError, "day.npz cannot be written"),
        (lambda: data.to_csv(tmp_path / "a.csv", CODE, date, rows="shoes"), krxdata.UsageError, "rows is one of"),
        (lambda: data.to_csv(tmp_path / "no" / "a.csv", CODE, date, rows="ticks"), krxdata.KrxDataError, "a.csv cannot be written"),
    ):
        with pytest.raises(error, match=words):
            ask()
    assert list(tmp_path.iterdir()) == []


def test_hftbacktest_trades_on_it(data: krxdata.Data, date: dt.date, tmp_path: Path) -> None:
    hftbacktest = pytest.importorskip("hftbacktest")
    from hftbacktest.data import validate_event_order

    file = tmp_path / "day.npz"
    data.to_hftbacktest(file, CODE, date)
    validate_event_order(np.load(file)["data"])
    asset = (
        hftbacktest.BacktestAsset().data([str(file)]).linear_asset(1.0).constant_order_latency(0, 0)
        .risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0).tick_size(1.0).lot_size(1.0)
        .last_trades_capacity(100_000)
    )  # fmt: skip
    backtest = hftbacktest.HashMapMarketDepthBacktest([asset])
    expected = {at_us: (asks, bids) for at_us, asks, bids in books_of(data, CODE)}
    trades, compared, bought = 0, 0, False
    end_ns = int(np.load(file)["data"]["local_ts"][-1])
    while backtest.elapse(1_000_000) == 0:
        trades += len(backtest.last_trades(0))
        backtest.clear_last_trades(0)
        depth = backtest.depth(0)
        newest = max((at for at in expected if at * 1000 <= backtest.current_timestamp), default=None)
        if newest is None or backtest.current_timestamp >= end_ns:
            continue
        asks, bids = expected[newest]
        best_ask = depth.best_ask if depth.best_ask_tick < 1 << 30 else None
        best_bid = depth.best_bid if depth.best_bid_tick > 0 else None
        assert (best_ask, best_bid) == (min(asks, default=None), max(bids, default=None))
        compared += 1
        if not bought:
            backtest.submit_buy_order(0, 1, depth.best_ask, 1.0, hftbacktest.GTC, hftbacktest.LIMIT, False)
            bought = True
    assert compared > 20 and trades > 50
    assert backtest.position(0) == 1.0
    depth = backtest.depth(0)
    assert depth.best_bid_tick <= 0 and depth.best_ask_tick > 1 << 30, "the book is not known any more, on both sides"
    backtest.close()


def test_nautilus_trades_on_it(data: krxdata.Data, date: dt.date, tmp_path: Path) -> None:
    pytest.importorskip("nautilus_trader")
    from nautilus_trader.backtest.engine import BacktestEngine
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.currencies import KRW
    from nautilus_trader.model.enums import AccountType, AggressorSide, BookType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money, Quantity
    from nautilus_trader.persistence.catalog import ParquetDataCatalog
    from nautilus_trader.trading.strategy import Strategy

    counts = data.to_nautilus(tmp_path / "catalog", [CODE, "000660"], date)
    catalog = ParquetDataCatalog(str(tmp_path / "catalog"))
    instruments = {instrument.id.value: instrument for instrument in catalog.instruments()}
    assert set(instruments) == {f"{CODE}.XKRX", "000660.XKRX"}
    name = f"{CODE}.XKRX"
    trades = catalog.trade_ticks(instrument_ids=[name])
    sides = {AggressorSide.BUYER: "buy", AggressorSide.SELLER: "sell", AggressorSide.NO_AGGRESSOR: None}
    assert [(tick.ts_init // 1000, int(tick.price), int(tick.size), sides[tick.aggressor_side]) for tick in trades] == ticks_of(data, CODE)
    depths = catalog.order_book_depth10(instrument_ids=[name])
    expected = books_of(data, CODE)
    found = []
    for depth in depths:
        asks, bids = ({int(order.price): int(order.size) for order in side if order.size > 0} for side in (depth.asks, depth.bids))
        found.append((depth.ts_init // 1000, asks, bids))
    assert [state for state in found if state[1] or state[2]] == expected
    assert found[-1][1:] == ({}, {}), "it is not known any more"
    quotes = catalog.quote_ticks(instrument_ids=[name])
    assert [(int(quote.ask_price), int(quote.bid_price)) for quote in quotes] == [(min(asks), max(bids)) for _, asks, bids in expected if asks and bids]
    others = len(catalog.trade_ticks(instrument_ids=["000660.XKRX"]))
    assert counts["trades"] == len(trades) + others

    seen: dict[str, Any] = {"trades": 0, "quotes": 0, "books": 0}

    class Buyer(Strategy):
        def on_start(self) -> None:
            instrument = instruments[name]
            self.subscribe_trade_ticks(instrument.id)
            self.subscribe_quote_ticks(instrument.id)
            self.subscribe_order_book_depth(instrument.id)

        def on_trade_tick(self, tick: Any) -> None:
            seen["trades"] += 1

        def on_quote_tick(self, tick: Any) -> None:
            seen["quotes"] += 1
            if seen["quotes"] == 10:
                order = self.order_factory.market(instruments[name].id, OrderSide.BUY, Quantity.from_int(3))
                self.submit_order(order)

        def on_order_book_depth(self, depth: Any) -> None:
            seen["books"] += 1

    engine = BacktestEngine()
    engine.add_venue(Venue("XKRX"), OmsType.NETTING, AccountType.CASH, [Money(1_000_000_000, KRW)], base_currency=KRW, book_type=BookType.L1_MBP)
    engine.add_instrument(instruments[name])
    for rows in (trades, quotes, depths):
        engine.add_data(rows)
    engine.add_strategy(Buyer())
    engine.run()
    assert seen == {"trades": len(trades), "quotes": len(quotes), "books": len(depths)}
    (position,) = engine.cache.positions()
    assert position.quantity == Quantity.from_int(3)
    engine.dispose()
    book = OrderBook(instruments[name].id, BookType.L2_MBP)
    for depth in depths[:20]:
        book.apply_depth(depth)
        assert int(book.best_bid_price()) == max(int(order.price) for order in depth.bids if order.size > 0)
