"""KRX's trading days, by the recorder's calendar: `closed_days.json` has the weekdays on which `krx-recorder calendar` prints none."""

from __future__ import annotations

import datetime as dt
import json
from importlib.resources import files

KST = dt.timezone(dt.timedelta(hours=9), "KST")

CLOSED = frozenset(map(dt.date.fromisoformat, json.loads(files(__package__).joinpath("closed_days.json").read_text("utf-8"))))
"""Weekdays from 2015 to 2051 on which KRX is closed."""


def today() -> dt.date:
    """The date in Korea."""
    return dt.datetime.now(KST).date()


def is_trading_day(date: dt.date) -> bool:
    """Whether KRX trades on a date."""
    return date.weekday() < 5 and date not in CLOSED
