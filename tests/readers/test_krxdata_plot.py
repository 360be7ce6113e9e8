"""The charts of `krxdata.plot`: what they draw, and what they shade, in a light and a dark style."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest

matplotlib.use("Agg")
import matplotlib.colors as colors  # noqa: E402
import matplotlib.dates as dates  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402

from conftest import IssueRecording  # noqa: E402
from days import GAP, LAST, Days  # noqa: E402
from ledger import KST  # noqa: E402

import krxdata  # noqa: E402
import krxdata.plot  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")


@pytest.fixture(params=["default", "dark_background"], autouse=True)
def style(request: pytest.FixtureRequest) -> Iterator[str]:
    with plt.style.context(request.param):
        yield request.param
    plt.close("all")


def spans_of(axes: Any) -> list[tuple[dt.datetime, dt.datetime]]:
    """What is shaded."""
    found = []
    for patch in axes.patches:
        if patch.get_alpha() == krxdata.plot.SHADE:
            # matplotlib 3.7 has polygons here.
            span = patch.get_path().transformed(patch.get_patch_transform()).get_extents()
            found.append(tuple(dates.num2date(at, KST).replace(microsecond=0) for at in (span.x0, span.x1)))
    return found


def contrast(one: Any, other: Any) -> float:
    """Of two colours, by WCAG."""
    lights = []
    for colour in (one, other):
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colors.to_rgb(colour)]
        lights.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def check_looks(figure: Any, tmp_path: Path) -> None:
    figure.savefig(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 5_000
    for axes in figure.axes:
        for words in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels()):
            assert contrast(words.get_color(), figure.get_facecolor()) > 4.5


def test_a_day_has_its_gap_shaded_and_no_line_across_it(twenty_days: Days, tmp_path: Path) -> None:
    data, code = krxdata.open(twenty_days.data_dir), twenty_days.issues[0]
    figure = data.plot(code, LAST)
    prices, volumes = figure.axes
    begin, end = (dt.datetime.combine(LAST, clock, KST) for clock in GAP[2:])
    # Minutes that were recorded in part are not complete.
    shaded = (begin.replace(second=0), end.replace(second=0) + dt.timedelta(minutes=1))
    assert spans_of(prices) == spans_of(volumes) == [shaded]
    times, closes = prices.lines[0].get_data()
    inside = [close for at, close in zip(times, closes, strict=True) if shaded[0] <= at < shaded[1]]
    assert len(inside) == 3 and all(close != close for close in inside)
    bars = {row[0]: row for row in data.bars(code, LAST).project("epoch(from_ts), close, volume").fetchall()}
    drawn = {at.timestamp(): close for at, close in zip(times, closes, strict=True) if close == close}
    assert drawn == {at: close for at, close, _ in bars.values() if close is not None} and len(drawn) > 100
    heights = [bar.get_height() for container in volumes.containers for bar in container]
    assert heights == [volume for _, _, volume in bars.values() if volume is not None]
    assert prices.get_title() == f"{code} on {LAST}, conflated feed"
    assert [words.get_text() for words in prices.get_legend().get_texts()] == ["not recorded, or not known yet"]
    check_looks(figure, tmp_path)
    whole = data.plot(code, LAST - dt.timedelta(days=1), width="5min")
    assert spans_of(whole.axes[0]) == [] and whole.axes[0].get_legend() is None


def test_a_book_is_drawn_while_it_is_known(issue_recording: IssueRecording, tmp_path: Path) -> None:
    data, code = krxdata.open(issue_recording.data_dirs["sealed"]), "005930"
    from_us, to_us, *_ = data.sql(f"""
        SELECT epoch_us(min(from_ts)), epoch_us(max(to_ts)) FROM active WHERE code = '{code}' AND preset = 'quote10'
    """).fetchall()[0]
    begin, end = (dt.datetime.fromtimestamp(at / 1e6, KST) for at in (from_us - 2_000_000, to_us + 2_000_000))
    figure = krxdata.plot.book(data, code, begin, end)
    (axes,) = figure.axes
    asks, bids = axes.collections[:2]
    prices = [price for side in (asks, bids) for price in {segment[0][1] for segment in side.get_segments()}]
    columns = [f"{side}_price_{level:02}" for side in ("ask", "bid") for level in range(1, 11)]
    received = {price for row in data.sql(f"SELECT {', '.join(columns)} FROM recorded_books WHERE code = '{code}'").fetchall() for price in row}
    assert set(prices) <= received and len(prices) > 15
    shaded = spans_of(axes)
    assert shaded[0][0] == begin.replace(microsecond=0) and shaded[-1][1] == end.replace(microsecond=0)
    assert [words.get_text() for words in axes.get_legend().get_texts()][:2] == ["asks", "bids"]
    check_looks(figure, tmp_path)
    with pytest.raises(krxdata.NoDataError, match="no book of 005930 is on record"):
        krxdata.plot.book(data, code, begin - dt.timedelta(seconds=2), begin - dt.timedelta(seconds=1))
    with pytest.raises(krxdata.UsageError, match="of one date"):
        krxdata.plot.book(data, code, end, begin)


def test_a_month_shows_what_is_missing_and_never_rounds_it_away(twenty_days: Days, tmp_path: Path) -> None:
    data = krxdata.open(twenty_days.data_dir)
    figure = krxdata.plot.completeness(data, LAST - dt.timedelta(days=30), LAST)
    axes = figure.axes[0]
    assert [words.get_text() for words in axes.get_yticklabels()] == ["KOSDAQ", "KOSPI"]
    assert len(axes.get_xticklabels()) == 20
    # 100 of 23,400 seconds.
    assert [words.get_text() for words in axes.texts] == ["99.5%"]
    check_looks(figure, tmp_path)
    with pytest.raises(krxdata.NoDataError, match="nothing is on record from 2020-01-01"):
        krxdata.plot.completeness(data, "2020-01-01", "2020-01-31")
    with pytest.raises(krxdata.NoDataError, match="no trade of NONE is on record"):
        data.plot("NONE", LAST)
