"""What may be said for codes, dates, widths and hours, as SQL has it. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

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


def codes_of(codes: Codes) -> list[str] | None:
    """The codes asked for; None for all."""
    if codes is None:
        return None
    found = [codes] if isinstance(codes, str) or not isinstance(codes, Iterable) else list(codes)
    for code in found:
        if not isinstance(code, str):
            raise UsageError(f"an issue code is text, such as '005930', and not {code!r}: a number has lost its zeros")
    if not found:
        raise UsageError("no issue code was named; leave codes out, or pass None, for all issues")
    return list(dict.fromkeys(found))


def condition_on(column: str, values: list[str] | None) -> str:
    """That a column has one of these values; any if None."""
    if values is None:
        return "true"
    if len(values) == 1:
        return f"{column} = {literal(values[0])}"
    return f"{column} IN ({', '.join(map(literal, values))})"


def date_of(date: Date) -> dt.date:
    """A date."""
    # A pandas Timestamp is a datetime, too.
    if isinstance(date, dt.datetime):
        return date.date()
    if isinstance(date, dt.date):
        return date
    if isinstance(date, str) and (found := re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)", date.strip())):
        try:
            return dt.date(*map(int, found.groups()))
        except ValueError:
            pass
    raise UsageError(f"{date!r} is not a date; write it as 2026-11-20")


@dataclass(frozen=True)
class Dates:
    """The dates from `first` to `last`, both included; all if they are None."""

    first: dt.date | None = None
    last: dt.date | None = None

    @classmethod
    def of(cls, first: Date | None, last: Date | None = None) -> Dates:
        """Of one date if `last` is None."""
        if first is None:
            if last is not None:
                raise UsageError("a last date needs a first one")
            return cls()
        begin = date_of(first)
        end = begin if last is None else date_of(last)
        if end < begin:
            raise UsageError(f"the dates end before they begin: {begin} to {end}")
        return cls(begin, end)

    def condition(self, column: str = "date") -> str:
        """That a column is one of them."""
        if self.first is None:
            return "true"
        if self.first == self.last:
            return f"{column} = DATE '{self.first}'"
        return f"{column} BETWEEN DATE '{self.first}' AND DATE '{self.last}'"


def width_of(width: str | dt.timedelta) -> str:
    """An interval of time."""
    if isinstance(width, str):
        found = re.fullmatch(r"\s*(\d*)\s*([a-z]+)\s*", width)
        unit = found and _UNITS.get(found[2])
        if not found or not unit:
            raise UsageError(f"{width!r} is not a width of bars; write it as '1min', '30s' or '1h'")
        width = int(found[1] or 1) * unit
    micros = width // dt.timedelta(microseconds=1)
    if micros <= 0:
        raise UsageError("bars have a width of more than nothing")
    return f"INTERVAL '{micros} microseconds'"


def time_of(time: str | dt.time) -> str:
    """A time of day in Korea, such as `09:30`."""
    if isinstance(time, str):
        try:
            time = dt.time.fromisoformat(time)
        except ValueError:
            raise UsageError(f"{time!r} is not a time of day; write it as '09:30'") from None
    return f"TIME '{time.replace(tzinfo=None).isoformat()}'"


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
    if end <= begin:
        raise UsageError("the hours end before they begin")
    return f"from_time := {begin}, to_time := {end}"


def instant_of(instant: str | dt.datetime) -> str:
    """An instant; without a zone it is a time in Korea."""
    if isinstance(instant, str):
        try:
            instant = dt.datetime.fromisoformat(instant)
        except ValueError:
            raise UsageError(f"{instant!r} is not an instant; write it as '2026-11-20 10:00:00'") from None
    if not isinstance(instant, dt.datetime):
        raise UsageError(f"{instant!r} is not an instant; write it as '2026-11-20 10:00:00'")
    text = instant.isoformat(" ") if instant.tzinfo else f"{instant.isoformat(' ')}+09:00"
    return f"TIMESTAMPTZ '{text}'"
