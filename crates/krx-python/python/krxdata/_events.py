"""What happened to an issue on a date, as other programs want it: trades and books in the order of arrival."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ._views import literal

if TYPE_CHECKING:
    from ._data import Data

LEVELS = {"": 10, "derivative_": 5}
"""Of the books of stocks, and of futures and options."""


class Trade(NamedTuple):
    """A trade: when it arrived and when it was made (µs since 1970; None where that is not known), price, volume, and the side of
    the aggressor."""

    at_us: int
    made_us: int | None
    price: float
    volume: int
    side: str | None


class Book(NamedTuple):
    """A book: when it arrived (µs since 1970), and the sizes of asks and bids by price. Without any it is not known from then on."""

    at_us: int
    asks: dict[float, float]
    bids: dict[float, float]


def events(data: Data, code: str, date: dt.date, source: str = "ticks") -> Iterator[Trade | Book]:
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
        ), row AS (
            SELECT 'trade' AS what, {key} AS feed, session, recv_ts, frame, item, epoch_us(trade_ts) AS trade_us, price::DOUBLE AS price,
                   volume, {side} AS side, NULL::DOUBLE[][] AS book
            FROM {table} WHERE {where} AND kind = 'trade'
            UNION ALL
            SELECT 'book', feed, session, recv_ts, frame, item, NULL, NULL, NULL, NULL, [{book}]
            FROM (SELECT * FROM recorded_{of}books WHERE {where}) JOIN stretch USING (feed, session)
            WHERE recv_ts BETWEEN from_ts AND to_ts
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
    # A separate connection, because the caller may run other queries while iterating.
    result = data._connect().execute(query)
    while rows := result.fetchmany(10_000):
        for at_us, made_us, what, price, volume, side, book in rows:
            if what == "trade":
                # Of a row that lacks one, nothing is known to have been traded.
                if price is not None and volume:
                    yield Trade(at_us, made_us, price, volume, side)
            elif book is None:
                yield Book(at_us, {}, {})
            else:
                yield Book(at_us, _levels(book[0], book[1]), _levels(book[2], book[3]))


def prefix_of(data: Data, code: str, date: dt.date) -> str:
    """`derivative_` if the issue is one, by what was recorded of it on a date."""
    where = f"date = DATE '{date}' AND code = {literal(code)} LIMIT 1"
    for dataset in ("recorded_derivative_ticks", "recorded_derivative_books"):
        if data.connection.execute(f"SELECT 1 FROM {dataset} WHERE {where}").fetchall():
            return "derivative_"
    return ""


def _levels(prices: list[float | None], sizes: list[float | None]) -> dict[float, float]:
    """Sizes by price, of the levels that there were."""
    return {price: size for price, size in zip(prices, sizes, strict=True) if price is not None and size}
