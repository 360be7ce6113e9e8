"""Exact, gap-aware market data of krx-recorder, up to the last second.

    import krxdata

    data = krxdata.open("/var/lib/krx-recorder")
    data.trades("005930", "2026-11-20").df()
    data.bars(["005930", "000660"], "2026-11-02", "2026-11-20", width="5min").pl()

Results are DuckDB relations: `.df()` makes pandas of them, `.pl()` polars, `.to_arrow_table()` Arrow, and they can be asked
further. Times are instants, shown in Korea's zone. What was not recorded is null, never zero, and a result that is not
complete says so with an `IncompleteWarning`.
"""

from __future__ import annotations

from ._data import Data, open
from ._errors import IncompleteWarning, KrxDataError, NoDataError, RecorderError, UsageError, VersionError

__version__ = "0.1.0"
"""Equals the recorder's version."""

__all__ = [
    "Data",
    "IncompleteWarning",
    "KrxDataError",
    "NoDataError",
    "RecorderError",
    "UsageError",
    "VersionError",
    "__version__",
    "open",
]
