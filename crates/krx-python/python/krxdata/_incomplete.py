"""Warns when an answer cannot be complete: missing days, missing hours of a feed, issues that were not registered."""

from __future__ import annotations

import datetime as dt
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb

from . import _calendar
from ._arguments import Dates, condition_on, during
from ._datasets import DATASETS
from ._errors import IncompleteWarning

PRESETS = {
    "ticks": ["tick", "tick10"], "quotes": ["quote"], "books": ["quote10"], "indices": ["index"],
    "derivative_ticks": ["tick", "tick10"], "derivative_quotes": ["quote"], "derivative_books": ["quote10"],
}  # fmt: skip
"""What an issue must be registered for to be in a dataset."""

TOLD_MAX = 3
"""How many things one warning names."""


def shares(dates: Dates, feeds: list[str] | None) -> str:
    """SQL for each date and feed that recorded anything: how much of the regular hours there is, how much was recorded, how much
    coverage speaks of (µs), and until what time it does."""
    return f"""
        WITH asked AS (
            SELECT *, epoch_us(hours_end) - epoch_us(hours_begin) AS asked_us
            FROM hours_of({dates.arguments}, NULL, NULL)
        ), recorded AS (
            SELECT date, feed, sum(epoch_us(ends) - epoch_us(begins)) AS recorded_us
            FROM live_stretches({dates.arguments}, NULL, NULL, 'regular')
            GROUP BY date, feed
        ), told AS (
            SELECT date, feed, max(to_ts) AS told_ts
            FROM coverage WHERE {during(dates)} AND {condition_on("feed", feeds)}
            GROUP BY date, feed HAVING bool_or(state <> 'idle')
        )
        SELECT date, feed, asked_us::BIGINT AS asked_us, coalesce(recorded_us, 0)::BIGINT AS recorded_us,
               greatest(0, epoch_us(least(told_ts, hours_end)) - epoch_us(hours_begin))::BIGINT AS told_us,
               strftime(timezone('Asia/Seoul', told_ts), '%H:%M:%S') AS until
        FROM told JOIN asked USING (date) LEFT JOIN recorded USING (date, feed)
        ORDER BY date, feed
    """


class Incomplete:
    """Warns about everything that is missing, once."""

    def __init__(self, data_dir: Path, connection: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._data_dir = data_dir
        self._connection = connection
        self._said: set[str] = set()

    def warn(self, name: str, dates: Dates | None, codes: list[str] | None = None, live: bool = False) -> None:
        """Warns of what was not recorded for a dataset in the regular hours of these dates, or of all there are. With `live`, no files
        at all is nothing to warn about: the records may be in the journal."""
        feeds = sorted({path.name.partition("=")[2] for path in self._partitions(name)})
        if not feeds:
            if not live:
                self._say({name: name}, "there are no {} in files: none were ever recorded here")
            return
        asked = self.warn_of_days(dates, feeds)
        if asked is None:
            return
        rows = self._connection().execute(shares(asked, feeds)).fetchall()
        self._say(
            dict(lack_of(*row) for row in rows if row[3] < row[2]),
            "the regular hours were not recorded in full: {}. See gaps() and completeness()",
        )
        if name in PRESETS and codes is not None:
            told_us: dict[dt.date, int] = {}
            for date, _, _, _, told, _ in rows:
                told_us[date] = max(told, told_us.get(date, 0))
            self._warn_of_registrations(name, asked, codes, told_us)

    def warn_of_any(self, names: tuple[str, ...], dates: Dates) -> None:
        """The same for those of the datasets that have files."""
        for name in [name for name in names if any(self._partitions(name))] or names[:1]:
            self.warn(name, dates)

    def warn_of_days(self, dates: Dates | None, feeds: list[str] | None = None) -> Dates | None:
        """Warns of trading days with nothing on record, of all feeds or of these. Returns the first and the last date asked for,
        or None if there is nothing on record at all."""
        found = self._connection().execute("SELECT DISTINCT date, feed FROM coverage ORDER BY date").fetchall()
        if not found:
            self._say({"files": "files"}, "nothing is in {} yet")
            return None
        known = Dates(found[0][0], found[-1][0])
        asked = dates or known
        absent, to_come = absences(asked, set(found), feeds, _calendar.today())
        self._say(absent, f"nothing is on record for {{}}; days() has {known.first} to {known.last}")
        self._say(to_come, "{} is yet to come")
        return asked

    def warn_of_unsealed(self, name: str, made_of: tuple[str, ...], dates: Dates | None) -> None:
        """Warns of dates that have no rows in a dataset made of others, since they are not sealed."""
        unmade = set().union(*(self._dates(dataset) for dataset in made_of)) - self._dates(name)
        self._say(
            {f"{name} {date}": f"{date}" for date in sorted(unmade) if dates is None or date in dates},
            "daily rows are made when a date is sealed, and these are not: {}. The recorder seals a date after the close; "
            "`krx-recorder seal` seals any other",
        )

    def _warn_of_registrations(self, name: str, dates: Dates, codes: list[str], told_us: dict[dt.date, int]) -> None:
        query = f"""
            SELECT date, code, epoch_us(greatest(from_ts, hours_begin)) AS begins, epoch_us(least(to_ts, hours_end)) AS ends
            FROM active JOIN hours_of({dates.arguments}, NULL, NULL) USING (date)
            WHERE {condition_on("preset", PRESETS[name])} AND {condition_on("code", codes)} AND from_ts < hours_end AND to_ts > hours_begin
        """
        spans: dict[tuple[dt.date, str], list[tuple[int, int]]] = {}
        for date, code, begins, ends in self._connection().execute(query).fetchall():
            spans.setdefault((date, code), []).append((begins, ends))
        news = {}
        for date in sorted(told_us):
            for code in codes:
                missing_us = told_us[date] - length_of(spans.get((date, code), []))
                if missing_us > 0:
                    for_how_long = f"for {missing_us / 1e6:,.0f} s of the hours" if (date, code) in spans else "not at all"
                    news[f"{name} {date} {code} {missing_us}"] = f"{code} on {date}, {for_how_long}"
        self._say(news, f"these issues were not registered for {name} all the time: {{}}. See registrations()")

    def _partitions(self, name: str) -> Iterable[Path]:
        return (self._data_dir / name).glob(f"date=*/{DATASETS[name].partition_key}=*")

    def _dates(self, name: str) -> set[dt.date]:
        names = (path.name.partition("=")[2] for path in (self._data_dir / name).glob("date=*"))
        return {dt.date.fromisoformat(name) for name in names if re.fullmatch(r"\d{4}-\d\d-\d\d", name)}

    def _say(self, news: dict[str, str], sentence: str) -> None:
        """Warns of what was not said yet, pointing to the line that asked."""
        new = {key: words for key, words in news.items() if key not in self._said}
        if not new:
            return
        words = "; ".join(list(new.values())[:TOLD_MAX])
        if len(new) > TOLD_MAX:
            words += f", and {len(new) - TOLD_MAX} more"
        level, frame = 1, sys._getframe()
        while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] == __package__:
            level, frame = level + 1, frame.f_back
        warnings.warn(sentence.format(words), IncompleteWarning, stacklevel=level)
        # If warnings are errors, it is raised every time.
        self._said.update(new)


def lack_of(date: dt.date, feed: str, asked_us: int, recorded_us: int, told_us: int, until: str) -> tuple[str, str]:
    """What a feed lacks of a date's hours, with a key that is another one once it lacks more. Pure, but for today's date."""
    if date == _calendar.today() and told_us < asked_us:
        gap_us = told_us - recorded_us
        lacks = f", and lacks {gap_us / 1e6:,.0f} s until then" if gap_us else ""
        return f"{date} {feed} {gap_us}", f"{feed} on {date} is known up to {until}{lacks}"
    missing_us = asked_us - recorded_us
    return f"{date} {feed} {missing_us} in all", f"{feed} on {date} lacks {missing_us / 1e6:,.0f} s"


def absences(
    asked: Dates, known: set[tuple[dt.date, str]], feeds: list[str] | None, today: dt.date
) -> tuple[dict[str, str], dict[str, str]]:
    """The trading days without a word: of any feed, or of one that was on record before; and those that are yet to come. Pure."""
    first_of = {feed: min(date for date, other in known if other == feed) for feed in {feed for _, feed in known}}
    recorded = {date for date, _ in known}
    absent, to_come = {}, {}
    for day in filter(_calendar.is_trading_day, asked):
        if day in recorded:
            for feed in feeds if feeds is not None else sorted(first_of):
                if (day, feed) not in known and first_of.get(feed, day) < day:
                    absent[f"absent {day} {feed}"] = f"{feed} on {day}"
        elif day > today:
            to_come[f"to come {day}"] = f"{day}"
        else:
            absent[f"absent {day}"] = f"{day}"
    return absent, to_come


def length_of(spans: list[tuple[int, int]]) -> int:
    """The length of what spans cover together, each moment once. Pure."""
    total, reached = 0, None
    for begin, end in sorted(spans):
        begin = begin if reached is None else max(begin, reached)
        total += max(0, end - begin)
        reached = end if reached is None else max(end, reached)
    return total
