"""Charts of recorded data, with what was not recorded shaded. They need matplotlib, and take its style: light or dark, as yours is.

    import krxdata, krxdata.plot

    data = krxdata.open("/var/lib/krx-recorder")
    krxdata.plot.day(data, "005930", "2026-11-20")
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ._arguments import Codes, Date, Session, date_of, instant_of
from ._calendar import KST
from ._data import Data
from ._errors import NoDataError, UsageError
from ._events import Trade, events

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHADE = 0.18
"""How strongly what was not recorded is shaded, in the colour of the text."""


def day(
    data: Data, code: str, date: Date, *, width: str | dt.timedelta = "1min", session: Session = "regular"
) -> Figure:
    """An issue's day: highest, lowest and closing price of each interval, and below them the volume. Intervals that were not
    recorded, or are not over, are shaded."""
    rows = _table(data.bars(code, date, width=width, session=session))
    if not len(rows["from_ts"]):
        raise NoDataError(f"no trade of {code} is on record for {date_of(date)}; issues() says which traded")
    plt = _pyplot()
    figure: Figure
    figure, (prices, volumes) = plt.subplots(
        2, 1, sharex=True, height_ratios=(3, 1), figsize=(10, 5), layout="constrained"
    )
    begins, ends = _times(rows["from_ts"]), _times(rows["to_ts"])
    known = [at for at, close in enumerate(rows["close"]) if close is not None]
    times = [begins[at] for at in known]
    # The line goes on where nothing was traded, and breaks where nothing was recorded.
    drawn = [at for at, complete in enumerate(rows["complete"]) if not complete or rows["close"][at] is not None]
    closes = [float("nan") if rows["close"][at] is None else rows["close"][at] for at in drawn]
    (line,) = prices.plot([begins[at] for at in drawn], closes, drawstyle="steps-post", linewidth=1)
    prices.vlines(times, [rows["low"][at] for at in known], [rows["high"][at] for at in known], color=line.get_color(), alpha=0.5)
    recorded = [at for at, volume in enumerate(rows["volume"]) if volume is not None]
    spans = [ends[at] - begins[at] for at in recorded]
    volumes.bar([begins[at] for at in recorded], [rows["volume"][at] for at in recorded], spans, align="edge", color=line.get_color())
    _shade((prices, volumes), begins, ends, rows["complete"])
    exact = all(exact for exact, complete in zip(rows["exact"], rows["complete"], strict=True) if complete)
    prices.set_title(f"{code} on {date_of(date)}, {'every trade' if exact else 'conflated feed'}")
    prices.set_ylabel("KRW")
    volumes.set_ylabel("volume")
    for axes in (prices, volumes):
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _clock(volumes)
    return figure


def book(data: Data, code: str, first: str | dt.datetime, last: str | dt.datetime) -> Figure:
    """An issue's book from one instant to another: the size at each price over time, asks and bids in two colours, and the trades.
    Where the book is not known, nothing is drawn, and the stretch is shaded."""
    begin, end = (_instant(each) for each in (first, last))
    if end <= begin or begin.date() != end.date():
        raise UsageError("the two instants are of one date in Korea, the first before the second")
    plt = _pyplot()
    states: list[tuple[dt.datetime, dict[float, float], dict[float, float]]] = [(begin, {}, {})]
    traded: list[tuple[dt.datetime, float]] = []
    for each in events(data, code, begin.date()):
        at = dt.datetime.fromtimestamp(each.at_us / 1e6, KST)
        if at >= end:
            break
        if isinstance(each, Trade):
            if at >= begin:
                traded.append((at, each.price))
        elif at <= begin:
            states[0] = (begin, each.asks, each.bids)
        else:
            states.append((at, each.asks, each.bids))
    if not any(asks or bids for _, asks, bids in states):
        raise NoDataError(f"no book of {code} is on record from {begin:%F %T} to {end:%T}; registrations() says when there was one")
    figure: Figure
    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    largest = max(size for _, asks, bids in states for size in (*asks.values(), *bids.values()))
    colours = _colours(plt)
    until = [at for at, _, _ in states[1:]] + [end]
    for number, name in enumerate(("asks", "bids")):
        times, spans, prices, sizes = [], [], [], []
        for (at, asks, bids), ends in zip(states, until, strict=True):
            for price, size in (asks, bids)[number].items():
                times.append(at)
                spans.append(ends)
                prices.append(price)
                sizes.append(0.15 + 0.85 * size / largest)
        axes.hlines(prices, times, spans, color=colours[number], alpha=sizes, linewidth=3, label=name)
    axes.plot([at for at, _ in traded], [price for _, price in traded], ".", color=plt.rcParams["text.color"], markersize=3, label="trades")
    _shade((axes,), [at for at, _, _ in states], until, [bool(asks or bids) for _, asks, bids in states])
    axes.set_title(f"Book of {code} on {begin.date()}")
    axes.set_ylabel("KRW")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.legend(loc="upper left")
    axes.set_xlim(begin, end)
    _clock(axes)
    return figure


def completeness(data: Data, first: Date, last: Date, *, feeds: Codes = None) -> Figure:
    """Which share of the regular hours each feed recorded on each date; a date without any word of a feed is left blank."""
    rows = data.coverage_shares(first, last, feeds=feeds).fetchall()
    if not rows:
        raise NoDataError(f"nothing is on record from {date_of(first)} to {date_of(last)}; days() says what is")
    plt = _pyplot()
    dates = sorted({row[0] for row in rows})
    names = sorted({row[1] for row in rows})
    shares = {(row[0], row[1]): row[2] for row in rows}
    figure: Figure
    figure, axes = plt.subplots(figsize=(10, 0.6 + 0.5 * len(names)), layout="constrained")
    grid = [[shares.get((date, name), float("nan")) for date in dates] for name in names]
    image = axes.imshow(grid, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
    for row, name in enumerate(names):
        for column, date in enumerate(dates):
            share = shares.get((date, name))
            if share is not None and share < 1:
                # Never rounded up to what it is not.
                axes.text(column, row, f"{int(share * 1000) / 10:.1f}%", ha="center", va="center", fontsize=7, color="black")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(dates)), [f"{date:%m-%d}" for date in dates], rotation=90)
    axes.set_title("Share of the regular hours that was recorded")
    figure.colorbar(image, ax=axes, format=lambda value, _: f"{value:.0%}")
    return figure


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise UsageError("charts are drawn by matplotlib: pip install matplotlib") from None
    return plt


def _colours(plt: Any) -> tuple[str, str]:
    found = plt.rcParams["axes.prop_cycle"].by_key().get("color", ["C0", "C1"])
    return found[0], found[1 % len(found)]


def _table(relation: Any) -> dict[str, list[Any]]:
    table: pa.Table = relation.to_arrow_table()
    found: dict[str, list[Any]] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        found[name] = column.to_pylist()
    return found


def _times(micros: list[int]) -> list[dt.datetime]:
    return [dt.datetime.fromtimestamp(at / 1e6, KST) for at in micros]


def _instant(instant: str | dt.datetime) -> dt.datetime:
    text = instant_of(instant).removeprefix("TIMESTAMPTZ '").removesuffix("'")
    return dt.datetime.fromisoformat(text).astimezone(KST)


def _shade(
    all_axes: tuple[Any, ...], begins: list[dt.datetime], ends: list[dt.datetime], known: list[bool]
) -> None:
    """Stretches of neighbours that are not known, each as one."""
    from matplotlib import rcParams

    stretches: list[list[dt.datetime]] = []
    for begin, end, is_known in zip(begins, ends, known, strict=True):
        if is_known:
            continue
        if stretches and stretches[-1][1] == begin:
            stretches[-1][1] = end
        else:
            stretches.append([begin, end])
    for axes in all_axes:
        for number, (begin, end) in enumerate(stretches):
            label = "not recorded, or not known yet" if number == 0 else None
            axes.axvspan(begin, end, color=rcParams["text.color"], alpha=SHADE, linewidth=0, label=label)
    if stretches:
        all_axes[0].legend(loc="upper left")


def _clock(axes: Any) -> None:
    import matplotlib.dates

    dates: Any = matplotlib.dates
    locator = dates.AutoDateLocator(tz=KST)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=KST))
