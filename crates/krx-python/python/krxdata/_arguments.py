"""Turns codes, dates, widths and hours into SQL. Pure."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Union

from ._calendar import KST
from ._errors import UsageError
from ._views import literal

Codes = Union[str, Iterable[str], None]
"""An issue code, several, or None for all."""

Date = Union[str, dt.date]
"""A trading date: `datetime.date`, or text such as `2026-11-20` or `20261120`."""

SESSIONS = ("regular", "after", "all")

_UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), dt.timedelta(milliseconds=1)),
    **dict.fromkeys(("s", "sec", "second", "seconds"), dt.timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), dt.timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), dt.timedelta(hours=1)),
}

KINDS = (
    "trade", "before_first_trade", "regular_close", "after_hours_close", "single_price_close", "buy_in_close", "block_before",
    "block_during", "block_after", "unknown_signal",
)  # fmt: skip
"""What a row of `trades`, `ticks` or `derivative_ticks` may be (docs/reading-the-data.md)."""


def codes_of(codes: Codes) -> list[str] | None:
    """The codes asked for; None for all."""
    found = _words(codes, "an issue code", "'005930'")
    for code in found or ():
        if not code or re.search(r"[\s,]", code):
            raise UsageError(f"{code!r} is not an issue code, such as '005930'; write several as a list")
    return found


def stocks_of(codes: Codes) -> list[str] | None:
    """The same, for stocks, whose codes have at least six characters."""
    found = codes_of(codes)
    for code in found or ():
        if code.isdecimal() and len(code) < 6:
            raise UsageError(f"{code!r} is not a stock's code: has it lost its zeros, and is it {code.zfill(6)!r}?")
    return found


def kinds_of(kinds: Codes) -> list[str] | None:
    """The kinds of rows asked for; None for all."""
    found = _words(kinds, "a kind of rows", "'trade'")
    for kind in found or ():
        if kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r}; choose from {', '.join(KINDS)}, or None for all")
    return found


def feeds_of(feeds: Codes) -> list[str] | None:
    """The feeds asked for; None for all."""
    return _words(feeds, "a feed", "'KOSPI'")


def _words(words: Any, what: str, example: str) -> list[str] | None:
    if words is None:
        return None
    if isinstance(words, str):
        return [words]
    try:
        found = [word.as_py() if hasattr(word, "as_py") else word for word in words]
    except TypeError:
        found = [words.item() if hasattr(words, "item") else words]
    for word in found:
        if isinstance(word, (int, float)) and word == word and what == "an issue code":
            raise UsageError(f"an issue code is text, such as '005930', and not {word!r}: a number has lost its zeros")
        if not isinstance(word, str):
            raise UsageError(f"{what} is text, such as {example}, and not {word!r}")
    if not found:
        raise UsageError(f"{what} is needed, such as {example}, and none was named; None stands for all")
    return list(dict.fromkeys(map(str, found)))


def condition_on(column: str, values: list[str] | None) -> str:
    """That a column has one of these values; any if None."""
    if values is None:
        return "true"
    if len(values) == 1:
        return f"{column} = {literal(values[0])}"
    return f"{column} IN ({', '.join(map(literal, values))})"


def date_of(date: Date) -> dt.date:
    """A date. An instant with a zone is of the date that it is in Korea."""
    value: Any = date
    if type(value).__module__ == "numpy" and hasattr(value, "astype"):
        value = value.astype("datetime64[us]").item()
    # A pandas Timestamp is a datetime, too; and so is NaT, which equals nothing.
    if isinstance(value, dt.datetime) and value == value:
        return value.astimezone(KST).date() if value.tzinfo else value.date()
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)", value.strip())):
        try:
            return dt.date(*map(int, found.groups()))
        except ValueError:
            pass
    raise UsageError(f"{date!r} is not a date; write it as 2026-11-20")


@dataclass(frozen=True)
class Dates:
    """The dates from `first` to `last`, both included."""

    first: dt.date
    last: dt.date

    def __contains__(self, date: dt.date) -> bool:
        return self.first <= date <= self.last

    def __iter__(self) -> Iterator[dt.date]:
        return (self.first + dt.timedelta(days=number) for number in range((self.last - self.first).days + 1))

    @property
    def arguments(self) -> str:
        """The first two arguments of a macro."""
        return f"DATE '{self.first}', DATE '{self.last}'"


def dates_of(first: Date, last: Date | None = None) -> Dates:
    """The dates asked for; a single one without `last`."""
    if first is None:
        raise UsageError("a date is needed, such as 2026-11-20")
    begin = date_of(first)
    end = begin if last is None else date_of(last)
    if end < begin:
        raise UsageError(f"the dates end before they begin: {begin} to {end}")
    return Dates(begin, end)


def dates_or_all(first: Date | None, last: Date | None = None) -> Dates | None:
    """The dates asked for; None for all."""
    if first is not None:
        return dates_of(first, last)
    if last is not None:
        raise UsageError("a last date needs a first one")
    return None


def during(dates: Dates | None) -> str:
    """That `date` is one of them; any if None."""
    if dates is None:
        return "true"
    if dates.first == dates.last:
        return f"date = DATE '{dates.first}'"
    return f"date BETWEEN DATE '{dates.first}' AND DATE '{dates.last}'"


def width_of(width: str | dt.timedelta, least: int = 1) -> str:
    """An interval of at least so many microseconds."""
    if isinstance(width, str):
        found = re.fullmatch(r"\s*(\d*)\s*([a-z]+)\s*", width)
        unit = found and _UNITS.get(found[2])
        if found and found[2] in ("d", "day", "days"):
            raise UsageError("bars are parts of a date's hours; daily() has rows of whole dates")
        if not found or not unit:
            raise UsageError(f"{width!r} is not a width of bars; write it as '1min', '30s' or '1h'")
        width = int(found[1] or 1) * unit
    if not isinstance(width, dt.timedelta):
        raise UsageError(f"{width!r} is not a width of bars; write it as '1min', '30s' or '1h', or as a timedelta")
    micros = width // dt.timedelta(microseconds=1)
    if micros < least:
        raise UsageError(f"{width} is too short")
    return f"INTERVAL '{micros} microseconds'"


def time_of(time: str | dt.time) -> str:
    """A time of day in Korea, such as `09:30`; `24:00` is the midnight that ends it."""
    if isinstance(time, str) and (found := re.fullmatch(r"(\d?\d):([0-5]\d)(?::([0-5]\d(?:\.\d{1,6})?))?", time)):
        hours, minutes, seconds = int(found[1]), found[2], float(found[3] or 0)
        if hours < 24 or (hours, minutes, seconds) == (24, "00", 0):
            return f"TIME '{hours:02}:{minutes}:{seconds:09.6f}'"
    elif isinstance(time, dt.time):
        return f"TIME '{time.replace(tzinfo=None).isoformat('microseconds')}'"
    raise UsageError(f"{time!r} is not a time of day; write it as '09:30'")


Session = Union[str, tuple[Union[str, dt.time], Union[str, dt.time]]]
"""`regular`, `after`, `all`, or a pair of times in Korea, the second of which is excluded."""


def hours_of(session: Session) -> str:
    """The arguments by which a macro takes the hours of each date."""
    if isinstance(session, str):
        if session not in SESSIONS:
            raise UsageError(f"there is no session {session!r}; choose regular, after or all, or a pair of times")
        return f"session := '{session}'"
    try:
        begin, end = session
    except (TypeError, ValueError):
        raise UsageError(f"{session!r} is not a pair of times; write ('09:30', '10:00')") from None
    begin, end = time_of(begin), time_of(end)
    # They are of one form, so the later one is the greater text.
    if end <= begin:
        raise UsageError("the hours end before they begin")
    return f"from_time := {begin}, to_time := {end}"


def instant_of(instant: str | dt.datetime) -> str:
    """An instant; without a zone it is a time in Korea."""
    value: Any = instant
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.datetime) or value != value:
        raise UsageError(f"{instant!r} is not an instant; write it as '2026-11-20 10:00:00'")
    text = value.isoformat(" ") if value.tzinfo else f"{value.isoformat(' ')}+09:00"
    return f"TIMESTAMPTZ '{text}'"
