"""Rows in the columns of Tardis's CSV files. Pure."""

from __future__ import annotations

from ._events import LEVELS

ROWS = ("trades", "quotes", "books")
"""What there is in this format."""


def query(rows: str, source: str, condition: str) -> str:
    """The rows in the columns of Tardis's CSV files. Times are µs since 1970; of quotes and books, the exchange sends none."""
    begin = "SELECT 'krx' AS exchange, code AS symbol"
    if rows == "trades":
        feed, side = ("market", "'unknown'") if source == "trades" else ("feed", "coalesce(side, 'unknown')")
        return f"""
            {begin}, epoch_us(trade_ts) AS timestamp, epoch_us(recv_ts) AS local_timestamp,
                   concat_ws('-', strftime(date, '%Y%m%d'), {feed}, frame, item) AS id, {side} AS side, price, volume AS amount
            FROM {source} WHERE kind = 'trade' AND {condition} ORDER BY date, {feed}, frame, item"""
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
    return f"{begin}, {times}, {columns} FROM {rows} WHERE {condition} ORDER BY date, feed, frame, item"
