"""What was recorded, as other programs read it: one issue and date at a time, in the order of arrival."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import KrxDataError, NoDataError, UsageError
from ._views import literal

if TYPE_CHECKING:
    from ._data import Data

LEVELS = {"": 10, "derivative_": 5}
"""Of the books of stocks, and of futures and options."""

Event = tuple[int, int, str, "float | None", "int | None", "str | None", "list[Any] | None"]
"""When it arrived and when it was traded (µs since 1970), `trade`, `book` or `end`, price, volume, side, and a book: prices and sizes
of the asks, then of the bids. `end`: from here on nothing is known of the book."""


def events(data: Data, code: str, date: dt.date, source: str = "ticks") -> Iterator[Event]:
    """The trades and books of an issue on a date. Arrival never goes back, whatever the clock did."""
    of = prefix_of(data, code, date)
    where = f"date = DATE '{date}' AND code = {literal(code)}"
    lists = [
        [f"{side}_{what}_{level:02}" for level in range(1, LEVELS[of] + 1)]
        for side in ("ask", "bid")
        for what in ("price", "size")
    ]
    book = ", ".join(f"[{', '.join(f'{column}::DOUBLE' for column in columns)}]" for columns in lists)
    key, table, side = ("market", "trades", "NULL") if source == "trades" else ("feed", f"{of}ticks", "side")
    query = f"""
        WITH stretch AS (
            SELECT feed, session, from_ts, to_ts
            FROM active WHERE {where} AND preset = 'quote10'
            QUALIFY dense_rank() OVER (ORDER BY feed) = 1
        ), registered AS (
            SELECT feed, session, min(from_ts) AS begins FROM stretch GROUP BY feed, session
        ), row AS (
            SELECT 'trade' AS what, {key} AS feed, session, recv_ts, frame, item, epoch_us(trade_ts) AS trade_us, price::DOUBLE AS price,
                   volume, {side} AS side, NULL::DOUBLE[][] AS book
            FROM {table} WHERE {where} AND kind = 'trade'
            UNION ALL
            SELECT 'book', feed, session, recv_ts, frame, item, NULL, NULL, NULL, NULL, [{book}]
            FROM (SELECT * FROM recorded_{of}books WHERE {where}) JOIN registered USING (feed, session)
            WHERE recv_ts >= begins
              AND (kind <> 'snapshot' OR coalesce(ask_price_01, bid_price_01) IS NOT NULL)
        ), arrived AS (
            SELECT *, epoch_us(max(recv_ts) OVER (PARTITION BY feed ORDER BY frame, item)) AS at_us FROM row
        ), placed AS (
            FROM arrived
            UNION ALL
            -- It comes after all that was received before it, also where the clock was set back meanwhile.
            SELECT 'end', feed, session, to_ts, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                   greatest(epoch_us(to_ts), (
                       SELECT max(at_us) FROM arrived
                       WHERE arrived.feed = stretch.feed AND arrived.session = stretch.session AND recv_ts <= to_ts
                   ))
            FROM stretch
        )
        SELECT at_us, trade_us, what, price, volume, side, book
        FROM placed ORDER BY at_us, feed, frame NULLS LAST, item
    """
    # On a connection of its own: whoever iterates may ask something else meanwhile.
    result = data.another_connection().execute(query)
    latest = 0
    while rows := result.fetchmany(10_000):
        for at_us, *rest in rows:
            latest = max(latest, at_us)
            yield (latest, *rest)


def prefix_of(data: Data, code: str, date: dt.date) -> str:
    """`derivative_` if the issue is one, by what was recorded of it on a date."""
    where = f"date = DATE '{date}' AND code = {literal(code)} LIMIT 1"
    for dataset in ("recorded_derivative_ticks", "recorded_derivative_books"):
        if data.connection.execute(f"SELECT 1 FROM {dataset} WHERE {where}").fetchall():
            return "derivative_"
    return ""


def levels(prices: list[float | None], sizes: list[float | None]) -> dict[float, float]:
    """Sizes by price, of the levels that there were."""
    return {price: size for price, size in zip(prices, sizes, strict=True) if price is not None and size}


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to be written; it gets its name when it is whole."""
    # numpy adds its suffix to a name without it.
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise KrxDataError(f"{path} cannot be written: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def to_hftbacktest(data: Data, path: Path, code: str, date: dt.date, source: str) -> int:
    """Writes hftbacktest's array of events; returns how many there are."""
    try:
        import numpy as np
    except ImportError:
        raise UsageError("hftbacktest's files are written by numpy: pip install numpy") from None
    # As hftbacktest.types has them.
    event = np.dtype(
        [("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8"), ("order_id", "<u8"),
         ("ival", "<i8"), ("fval", "<f8")], align=True,
    )  # fmt: skip
    depth, trade, both = 1, 2, 1 << 31 | 1 << 30
    flags = {"buy": 1 << 29, "sell": 1 << 28}
    rows: list[tuple[int, int, int, float, float, int, int, float]] = []
    chunks = []
    before: dict[str, dict[float, float]] = {"sell": {}, "buy": {}}

    def add(what: int, at_ns: int, price: float, quantity: float) -> None:
        rows.append((what | both, at_ns, at_ns, price, quantity, 0, 0, 0.0))
        if len(rows) >= 1 << 16:
            chunks.append(np.array(rows, event))
            rows.clear()

    for at_us, _, what, price, volume, side, book in events(data, code, date, source):
        at_ns = at_us * 1000
        if what == "trade":
            if price is not None and volume is not None:
                add(trade | flags.get(side or "", 0), at_ns, price, float(volume))
            continue
        now: dict[str, dict[float, float]] = {"sell": {}, "buy": {}}
        if book is not None:
            now = {"sell": levels(book[0], book[1]), "buy": levels(book[2], book[3])}
        for each, flag in (("sell", flags["sell"]), ("buy", flags["buy"])):
            # The book has the levels that were sent last and no other.
            for gone in sorted(before[each].keys() - now[each].keys()):
                add(depth | flag, at_ns, gone, 0.0)
            for level, size in now[each].items():
                if before[each].get(level) != size:
                    add(depth | flag, at_ns, level, size)
        before = now
    chunks.append(np.array(rows, event))
    found = np.concatenate(chunks)
    if not len(found):
        raise NoDataError(f"nothing of {code} is in files of {date}; issues() and registrations() say what is")
    with whole(path) as partial:
        np.savez_compressed(partial, data=found)
    return len(found)


TARDIS = ("trades", "quotes", "books")
"""What there is in Tardis's CSV formats."""


def tardis(rows: str, source: str, condition: str) -> str:
    """The rows in the columns of Tardis's CSV files. Times are µs since 1970; of quotes and books, the exchange sends none."""
    begin = "SELECT 'krx' AS exchange, code AS symbol"
    if rows == "trades":
        feed, side = ("market", "'unknown'") if source == "trades" else ("feed", "coalesce(side, 'unknown')")
        return f"""
            {begin}, epoch_us(trade_ts) AS timestamp, epoch_us(recv_ts) AS local_timestamp,
                   concat_ws('-', strftime(date, '%Y%m%d'), {feed}, frame, item) AS id, {side} AS side, price, volume AS amount
            FROM {source} WHERE kind = 'trade' AND {condition} ORDER BY date, recv_ts, {feed}, frame, item"""
    times = "epoch_us(recv_ts) AS timestamp, epoch_us(recv_ts) AS local_timestamp"
    if rows == "quotes":
        columns = "ask_size AS ask_amount, ask_price, bid_price, bid_size AS bid_amount"
    else:
        columns = ", ".join(
            f'{side}_{what}_{level:02} AS "{side}s[{level - 1}].{name}"'
            for level in range(1, LEVELS[""] + 1)
            for side in ("ask", "bid")
            for what, name in (("price", "price"), ("size", "amount"))
        )
    return f"{begin}, {times}, {columns} FROM {rows} WHERE {condition} ORDER BY date, recv_ts, feed, frame, item"


def to_nautilus(data: Data, path: Path, codes: list[str], dates: list[dt.date], source: str) -> dict[str, int]:
    """Writes to nautilus_trader's Parquet catalog, by that package; returns how many of each kind."""
    try:
        from nautilus_trader.model.data import BookOrder, OrderBookDepth10, QuoteTick, TradeTick
        from nautilus_trader.model.enums import AggressorSide, OrderSide
        from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
        from nautilus_trader.model.instruments import Equity
        from nautilus_trader.model.objects import Currency, Price, Quantity
        from nautilus_trader.persistence.catalog import ParquetDataCatalog
    except ImportError:
        raise UsageError("the catalog is written by nautilus_trader: pip install nautilus_trader") from None
    path.mkdir(parents=True, exist_ok=True)
    catalog = ParquetDataCatalog(str(path))
    counts = {"trades": 0, "quotes": 0, "books": 0}
    aggressors = {"buy": AggressorSide.BUYER, "sell": AggressorSide.SELLER}

    def orders(side: Any, of_side: dict[float, float]) -> list[Any]:
        found = [BookOrder(side, Price(price, 0), Quantity(size, 0), 0) for price, size in of_side.items()]
        nothing = BookOrder(OrderSide.NO_ORDER_SIDE, Price(0, 0), Quantity(0, 0), 0)
        return found + [nothing] * (LEVELS[""] - len(found))

    for code in codes:
        name = InstrumentId(Symbol(code), Venue("XKRX"))
        one = Price.from_int(1)
        is_known = False
        for date in dates:
            if prefix_of(data, code, date):
                raise UsageError(f"{code} is no stock, and the catalog would need its contract's terms, which nobody sent")
            trades, quotes, books = [], [], []
            for number, (at_us, trade_us, what, price, volume, side, book) in enumerate(events(data, code, date, source)):
                at = at_us * 1000
                if what == "trade":
                    if price is None or not volume:
                        continue
                    # A trade is not received before it is made, whatever the clocks say.
                    made = min(trade_us * 1000, at) if trade_us is not None else at
                    who = aggressors.get(side or "", AggressorSide.NO_AGGRESSOR)
                    trade = TradeId(f"{date:%Y%m%d}-{number}")
                    trades.append(TradeTick(name, Price(price, 0), Quantity(volume, 0), who, trade, made, at))
                    continue
                asks = levels(book[0], book[1]) if book else {}
                bids = levels(book[2], book[3]) if book else {}
                # An empty book says that it is not known from here on.
                books.append(
                    OrderBookDepth10(
                        name, orders(OrderSide.BUY, bids), orders(OrderSide.SELL, asks), [int(n < len(bids)) for n in range(10)],
                        [int(n < len(asks)) for n in range(10)], 0, number, at, at,
                    )
                )  # fmt: skip
                if asks and bids:
                    (ask, ask_size), (bid, bid_size) = min(asks.items()), max(bids.items())
                    prices = (Price(bid, 0), Price(ask, 0), Quantity(bid_size, 0), Quantity(ask_size, 0))
                    quotes.append(QuoteTick(name, *prices, at, at))
            if (trades or books) and not is_known:
                won = Currency.from_str("KRW")
                catalog.write_data([Equity(name, Symbol(code), won, 0, one, Quantity.from_int(1), 0, 0)])
                is_known = True
            for kind, rows in (("trades", trades), ("quotes", quotes), ("books", books)):
                if rows:
                    catalog.write_data(rows)
                    counts[kind] += len(rows)
    if not any(counts.values()):
        raise NoDataError(f"nothing of {', '.join(codes)} is in files of these dates; issues() and registrations() say what is")
    return counts
