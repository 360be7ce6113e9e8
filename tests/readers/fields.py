"""The columns of the per-issue datasets, and the keys of the messages that fill them (docs/protocol.md), in plain words.

The standard library is enough for this module: readers of years ago import it in their own environments.
"""

from __future__ import annotations

FRONT = ["code"]
BACK = ["kind", "recv_ts", "frame", "item", "session", "extra"]
"""What all of them have, before and after their own columns."""

CHANGE_KINDS = "upper_limit up flat lower_limit down quoted_upper_limit quoted_up quoted_lower_limit quoted_down".split()
WORDS: dict[str, list[str]] = {"change_kind": CHANGE_KINDS, "side": ["sell", "buy"]}
"""What is sent as a number from 1 is recorded as a word."""

CLOCKS = {"trade_time": "trade_ts", "order_time": "order_ts"}
"""The digits of a time, and the column of the instant that they mean."""


def levels(count: int, parts: dict[str, str]) -> dict[str, str]:
    """The columns of a book's levels, and their keys."""
    return {
        f"{side}_{name}_{level:02}": f"{side}Step{level}Bstord{end}"
        for side in ("ask", "bid")
        for name, end in parts.items()
        for level in range(1, count + 1)
    }


TICK = {
    "preset": "",
    "trade_ts": "",
    "trade_time": "trdTm",
    "price": "trdPrc",
    "volume": "trdvol trdVol",
    "acc_volume": "accTrdvol",
    "acc_value": "accTrdval",
    "open": "opnprc",
    "high": "hgprc",
    "low": "lwprc",
    "change": "cmpprevddPrc",
    "change_kind": "cmpprevddTpCd",
    "side": "lstAskbidTpCd lstTrdTpCd",
    "ask_price": "askordPrc_1",
    "bid_price": "bidordPrc_1",
}
QUOTE = {
    "acc_volume": "accTrdvol",
    "ask_price": "askStep1BstordPrc",
    "ask_size": "askStep1BstordRqty",
    "bid_price": "bidStep1BstordPrc",
    "bid_size": "bidStep1BstordRqty",
}

FIELDS: dict[str, dict[str, str]] = {
    "ticks": TICK,
    "quotes": QUOTE,
    "books": {
        "acc_volume": "accTrdvol",
        **levels(10, {"price": "Prc", "size": "Rqty"}),
        "ask_total_size": "askordTotRqty",
        "bid_total_size": "bidordTotRqty",
        "after_hours_ask_total_size": "pstoffhrAskTotOrdRqty",
        "after_hours_bid_total_size": "pstoffhrBidTotOrdRqty",
        "expected_price": "deemTrdPrc",
        "expected_volume": "deemTrdvol",
        "expected_acc_volume": "deemAccTrdvol",
    },
    "derivative_ticks": {
        **TICK,
        "block_acc_volume": "negoBlkAccTrdvol",
        "upper_limit_price": "realtmUplmtprc",
        "lower_limit_price": "realtmLwlmtprc",
        "near_leg_price": "fstmmAgndaContrtPrc",
        "far_leg_price": "futrmmAgndaContrtPrc",
    },
    "derivative_quotes": QUOTE,
    "derivative_books": {
        **levels(5, {"price": "Prc", "size": "Rqty", "orders": "Cnt"}),
        "ask_total_size": "askTotOrdRqty",
        "bid_total_size": "bidTotOrdRqty",
        "ask_total_orders": "askValidOrdCnt",
        "bid_total_orders": "bidValidOrdCnt",
        "order_ts": "",
        "order_time": "ordAcptTm",
        "expected_price": "deemTrdPrc",
    },
    "indices": {
        "trade_ts": "",
        "trade_time": "trdTm",
        "value": "trdPrc",
        "change": "cmpprevddPrc",
        "change_kind": "cmpprevddTpCd",
        "acc_volume": "accTrdvol",
        "acc_value": "accTrdval",
    },
    "changes": {"field": "", "value": ""},
}
"""Each dataset's own columns in their order, with the keys that fill them; a column without one has a rule of its own."""

DATASETS = tuple(FIELDS)


def names(dataset: str) -> list[str]:
    """All columns of a dataset's files."""
    return [*FRONT, *FIELDS[dataset], *BACK]


def dataset_of(preset: str, derivative: bool) -> str:
    """Where a push goes."""
    plain = {"tick": "ticks", "tick10": "ticks", "quote": "quotes", "quote10": "books"}
    if preset in plain:
        return f"derivative_{plain[preset]}" if derivative else plain[preset]
    return {"index": "indices", "change": "changes"}[preset]
