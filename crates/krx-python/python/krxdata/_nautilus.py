"""A Parquet catalog of nautilus_trader, written by that package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._arguments import Dates
from ._errors import KrxDataError, NoDataError, UsageError
from ._events import LEVELS, Book, Trade, events, prefix_of

if TYPE_CHECKING:
    import datetime as dt

    from ._data import Data


def write(data: Data, path: Path, codes: list[str], dates: Dates, source: str) -> dict[str, int]:
    """Writes stocks; returns how many trades, quotes and books."""
    try:
        from nautilus_trader.persistence.catalog import ParquetDataCatalog
    except ImportError:
        raise UsageError("the catalog is written by nautilus_trader: pip install nautilus_trader") from None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KrxDataError(f"the catalog {path} cannot be made: {error}") from None
    catalog = ParquetDataCatalog(str(path))
    counts = {"trades": 0, "quotes": 0, "books": 0}
    for code in codes:
        stock = Stock(code)
        found = False
        for date in dates:
            if prefix_of(data, code, date):
                raise UsageError(f"{code} is not a stock: the catalog would need its contract's terms, which are not in the data")
            for kind, rows in stock.day(date, events(data, code, date, source)).items():
                if rows:
                    if not found:
                        catalog.write_data([stock.instrument])
                        found = True
                    catalog.write_data(rows)
                    counts[kind] += len(rows)
    if not any(counts.values()):
        raise NoDataError(f"nothing of {', '.join(codes)} is in files of these dates; issues() and registrations() say what is")
    return counts


class Stock:
    """Makes nautilus_trader's objects of a stock's trades and books."""

    def __init__(self, code: str) -> None:
        from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
        from nautilus_trader.model.instruments import Equity
        from nautilus_trader.model.objects import Currency, Price, Quantity

        self.name = InstrumentId(Symbol(code), Venue("XKRX"))
        self.instrument = Equity(
            self.name, Symbol(code), Currency.from_str("KRW"), 0, Price.from_int(1), Quantity.from_int(1), 0, 0
        )

    def day(self, date: dt.date, events: Any) -> dict[str, list[Any]]:
        """The trades, quotes and books of a date."""
        found: dict[str, list[Any]] = {"trades": [], "quotes": [], "books": []}
        for number, each in enumerate(events):
            if isinstance(each, Trade):
                found["trades"].append(self.trade(each, f"{date:%Y%m%d}-{number}"))
                continue
            found["books"].append(self.book(each, number))
            if each.asks and each.bids:
                found["quotes"].append(self.quote(each))
        return found

    def trade(self, trade: Trade, name: str) -> Any:
        """A `TradeTick`."""
        from nautilus_trader.model.data import TradeTick
        from nautilus_trader.model.enums import AggressorSide
        from nautilus_trader.model.identifiers import TradeId
        from nautilus_trader.model.objects import Price, Quantity

        sides = {"buy": AggressorSide.BUYER, "sell": AggressorSide.SELLER, None: AggressorSide.NO_AGGRESSOR}
        # A trade is not received before it is made, whatever the clocks say.
        made_us = trade.at_us if trade.made_us is None else min(trade.made_us, trade.at_us)
        return TradeTick(
            self.name, Price(trade.price, 0), Quantity(trade.volume, 0), sides[trade.side], TradeId(name), made_us * 1000,
            trade.at_us * 1000,
        )  # fmt: skip

    def quote(self, book: Book) -> Any:
        """A `QuoteTick` of the best levels."""
        from nautilus_trader.model.data import QuoteTick
        from nautilus_trader.model.objects import Price, Quantity

        (ask, ask_size), (bid, bid_size) = min(book.asks.items()), max(book.bids.items())
        at = book.at_us * 1000
        return QuoteTick(self.name, Price(bid, 0), Price(ask, 0), Quantity(bid_size, 0), Quantity(ask_size, 0), at, at)

    def book(self, book: Book, number: int) -> Any:
        """An `OrderBookDepth10`. An empty one says that the book is not known from then on."""
        from nautilus_trader.model.data import BookOrder, OrderBookDepth10
        from nautilus_trader.model.enums import OrderSide
        from nautilus_trader.model.objects import Price, Quantity

        nothing = BookOrder(OrderSide.NO_ORDER_SIDE, Price(0, 0), Quantity(0, 0), 0)

        def orders(side: Any, levels: dict[float, float]) -> list[Any]:
            found = [BookOrder(side, Price(price, 0), Quantity(size, 0), 0) for price, size in levels.items()]
            return found + [nothing] * (LEVELS[""] - len(found))

        def counts(levels: dict[float, float]) -> list[int]:
            return [int(nth < len(levels)) for nth in range(LEVELS[""])]

        at = book.at_us * 1000
        return OrderBookDepth10(
            self.name, orders(OrderSide.BUY, book.bids), orders(OrderSide.SELL, book.asks), counts(book.bids), counts(book.asks),
            0, number, at, at,
        )  # fmt: skip
