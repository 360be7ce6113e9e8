"""A data directory, and the questions that can be asked of it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import _calendar, _hftbacktest, _names, _nautilus, _tardis, _views
from ._arguments import (
    Codes,
    Date,
    Dates,
    Session,
    codes_of,
    condition_on,
    dates_of,
    dates_or_all,
    during,
    feeds_of,
    hours_of,
    instant_of,
    kinds_of,
    stocks_of,
    width_of,
)
from ._datasets import DATASETS, Dataset, dataset_of
from ._errors import KrxDataError, NoDataError, UsageError, VersionError
from ._events import events
from ._incomplete import Incomplete, shares
from ._newest import Newest
from ._output import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kinds = Codes
"""A kind of row, several, or None for all."""


def open(
    data_dir: str | os.PathLike[str],
    *,
    status: str | None = None,
    config: str | os.PathLike[str] | None = None,
    issues: Any = None,
) -> Data:
    """Opens a recorder's data directory.

    The newest records are not in files yet. To get them too (`live=True`, `follow`), say where to ask the running recorder:
    `status` is the address of its status port, such as ``"localhost:9464"``, or `config` is its configuration file, on the
    recorder's own machine. If no recorder is running, neither is needed.

    `issues` names the issues: a CSV file (UTF-8, or CP949 as Excel in Korea and KRX write it), a Parquet file, or a table of pandas,
    polars or Arrow, with the column `code` (or `종목코드`, `단축코드`). Results get its other columns, such as the name, after their own.

    Raises NoDataError if it is not a recorder's data directory, and VersionError if a newer recorder wrote it.
    """
    if not isinstance(data_dir, (str, os.PathLike)):
        raise UsageError(f"{data_dir!r} is not the path of a recorder's data_dir")
    if status is not None and not (isinstance(status, str) and ":" in status):
        raise UsageError(f"{status!r} is not the address of a status port, such as 'localhost:9464'")
    directory = Path(data_dir).expanduser().absolute()
    return Data(directory, Newest(directory, status, Path(config) if config else None), None if issues is None else _names.read(issues))


class Data:
    """An open data directory. Made by `open`.

    Results are DuckDB relations. They read files whenever you ask for rows, and show what is there at that moment. Use a Data and
    its relations in one thread at a time.
    """

    def __init__(self, data_dir: Path, newest: Newest, names: pa.Table | None) -> None:
        self.data_dir = data_dir
        self._newest = newest
        self._names = names
        self._incomplete = Incomplete(data_dir, lambda: self.connection)
        self._present = _views.find(data_dir)
        for name in self._present:
            _check_version(data_dir, DATASETS[name])
        self._connection = self._connect()

    def __repr__(self) -> str:
        return f"krxdata.open({str(self.data_dir)!r})"

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB connection with the recorder's views and macros: `trades`, `bars`, `spread` and others."""
        present = _views.find(self.data_dir)
        if present != self._present:
            # The first files of a dataset are there.
            for name in present - self._present:
                _check_version(self.data_dir, DATASETS[name])
            self._present = present
            self._connection.execute(_views.of(self.data_dir, present))
        return self._connection

    def __enter__(self) -> Data:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; answers cannot be used afterwards, except live ones."""
        self._connection.close()

    def sql(self, query: str, params: Any = None) -> duckdb.DuckDBPyRelation:
        """What DuckDB answers to a query of the recorder's views and macros, and of `issue_names`, the list of issues."""
        return self.connection.sql(query, params=params)

    def days(self) -> duckdb.DuckDBPyRelation:
        """What is on record: a row for each date and feed.

        Columns: `date`, `feed`, `from_ts` and `to_ts` (the hours that coverage speaks of; nothing is known beyond them),
        `recorded_s` (seconds while the feed was live), `gaps` and `gap_s` (the stretches that were missed while it should
        have been, and their seconds).
        """
        return self.sql("""
            SELECT date, feed, min(from_ts) AS from_ts, max(to_ts) AS to_ts,
                   coalesce(sum(epoch_us(to_ts) - epoch_us(from_ts)) FILTER (state = 'live'), 0) / 1e6 AS recorded_s,
                   count(*) FILTER (state = 'gap') AS gaps,
                   coalesce(sum(epoch_us(to_ts) - epoch_us(from_ts)) FILTER (state = 'gap'), 0) / 1e6 AS gap_s
            FROM coverage GROUP BY date, feed ORDER BY date, feed
        """)

    def issues(self, first: Date, last: Date | None = None) -> duckdb.DuckDBPyRelation:
        """The issues of which trades are in files on a date, or on the dates from `first` to `last`.

        Columns: `date`, `feed` (the market, for the full-market feeds), `code`, `dataset` (`trades`, `ticks` or
        `derivative_ticks`), `records` (trades, as they were received) and `first_ts` and `last_ts` (when the first and the last
        were made).
        """
        dates = dates_of(first, last)
        feeds = {"trades": "market", "recorded_ticks": "feed", "recorded_derivative_ticks": "feed"}
        of_each = [
            f"""SELECT date, {feed} AS feed, code, '{view.removeprefix("recorded_")}' AS dataset, count(*) AS records,
                       min(trade_ts) AS first_ts, max(trade_ts) AS last_ts
                FROM {view} WHERE kind = 'trade' AND {during(dates)} GROUP BY date, {feed}, code"""
            for view, feed in feeds.items()
        ]
        self._incomplete.warn_of_any(("trades", "ticks", "derivative_ticks"), dates)
        return self._named(self.connection, " UNION ALL ".join(of_each), "date, feed, code, dataset")

    def trades(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        kinds: Kinds = "trade",
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Trades of the full-market feeds, in order of arrival: date by date, market by market.

        `codes` is an issue code or several, `first` a date or the first of several up to `last`; without them, all that
        there are. `kinds=None` shows all rows: also block trades (`block_before`, `block_during`, `block_after`), and signals
        such as `regular_close`, whose price and volume are not of a trade. With `live=True` today's newest are there too, up to
        this moment; without a date, it is today's. `ordered=False` skips sorting, which makes sums over a
        whole market faster.

        The full-market feeds are conflated: a row may stand for several trades. `ticks` has each.
        """
        return self._rows("trades", codes, first, last, kinds, live, ordered)

    def ticks(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        kinds: Kinds = "trade",
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Every trade of registered stocks, each once, in order of arrival. Takes the arguments of `trades`."""
        return self._rows("ticks", codes, first, last, kinds, live, ordered)

    def derivative_ticks(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        kinds: Kinds = "trade",
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Every trade of registered futures and options, each once, in order of arrival. Takes the arguments of `trades`."""
        return self._rows("derivative_ticks", codes, first, last, kinds, live, ordered)

    def quotes(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Best bids and asks of registered stocks, in order of arrival, of one feed at a time. Takes the arguments of `trades`."""
        return self._rows("quotes", codes, first, last, None, live, ordered)

    def books(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Books of ten levels of registered stocks, in order of arrival, of one feed at a time. Takes the arguments of `trades`."""
        return self._rows("books", codes, first, last, None, live, ordered)

    def derivative_quotes(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Best bids and asks of registered futures and options. As `quotes`."""
        return self._rows("derivative_quotes", codes, first, last, None, live, ordered)

    def derivative_books(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Books of five levels of registered futures and options. As `books`."""
        return self._rows("derivative_books", codes, first, last, None, live, ordered)

    def indices(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        live: bool = False,
        ordered: bool = True,
    ) -> duckdb.DuckDBPyRelation:
        """Values of registered indices as they were pushed, in order of arrival; of each feed that has them. Takes the
        arguments of `trades`."""
        return self._rows("indices", codes, first, last, None, live, ordered)

    def book_at(self, code: str, instant: str | dt.datetime) -> duckdb.DuckDBPyRelation:
        """An issue's book at an instant, a row for each level; without a zone, it is a time in Korea.

        Columns: `level` (from 1), `ask_price`, `ask_size`, `bid_price`, `bid_size`, and `recv_ts`, when it was received. No rows
        mean that the book is unknown: it was not recorded then.
        """
        wanted = _one_code(code)
        if instant is None:
            raise UsageError("an instant is needed, such as '2026-11-20 10:00:00'")
        return self.sql(f"FROM book_at({_views.literal(wanted)}, {instant_of(instant)}) ORDER BY level")

    def bars(
        self,
        codes: Codes,
        first: Date,
        last: Date | None = None,
        *,
        width: str | dt.timedelta = "1min",
        session: Session = "regular",
        delay: str | dt.timedelta | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Bars of a date, or of the dates from `first` to `last`, in the order of codes and time.

        A row for each interval of the hours and each issue that traded. `width` is such as ``"1min"``, ``"30s"`` or a timedelta.
        `session` is `regular` (each date's own hours by the calendar: later on the day of the CSAT and on the year's first),
        `after` (from ten minutes after the close), `all` (both, and what lies between), or a pair of times in Korea, such as
        ``("09:30", "10:00")``.

        Columns: `date`, `market`, `code`, `from_ts`, `to_ts`, `open`, `high`, `low`, `close`, `volume`, `records`, `complete` and
        `exact`. An interval that was not recorded to the last microsecond, or is not known yet, is not `complete`, and its
        values are null. One in which nothing was traded has 0 `records` and `volume`, and null prices: nothing is carried
        forward. `exact` bars are made of `ticks`, which have every trade; others of the conflated full-market feed.

        Trades made shortly before a gap may arrive during it: with `delay`, a bar is only complete if recording went on for
        that much longer.
        """
        dates = dates_of(first, last)
        arguments = [f"DATE '{dates.first}'", f"last_day := DATE '{dates.last}'", f"width := {width_of(width)}", hours_of(session)]
        if delay is not None:
            arguments.append(f"delay := {width_of(delay, least=0)}")
        wanted = condition_on("code", stocks_of(codes))
        self._incomplete.warn_of_any(("trades", "ticks"), dates)
        query = f"FROM bars({', '.join(arguments)}) WHERE {wanted}"
        return self._named(self.connection, query, "code, market, from_ts")

    def daily(self, codes: Codes = None, first: Date | None = None, last: Date | None = None) -> duckdb.DuckDBPyRelation:
        """Daily rows of stocks, made when a date was sealed: one for each date, feed and issue.

        Columns: `open`, `high`, `low`, `close`, `official_close` (the closing price as KRX's signal tells it; null if none came),
        `volume`, `value` and `records` of the regular session, `first_ts`, `last_ts`, and `recorded_share`, which share of the
        session was recorded. What was not recorded is not in them. A date that is not sealed yet has no rows; a warning says so.
        """
        return self._derived("daily", codes, first, last)

    def daily_derivatives(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Daily rows of futures and options. As `daily`."""
        return self._derived("daily_derivatives", codes, first, last)

    def coverage(
        self, first: Date | None = None, last: Date | None = None, *, feeds: Codes = None
    ) -> duckdb.DuckDBPyRelation:
        """What was recorded and what was not: stretches of a feed, each `live`, `idle` or `gap`, and why.

        Nothing is known of what follows the last `to_ts` of a date.
        """
        dates = dates_or_all(first, last)
        condition = f"{during(dates)} AND {condition_on('feed', self._feeds(feeds))}"
        self._incomplete.warn_of_days(dates)
        columns = "date, feed, * EXCLUDE (date, feed)"
        return self.sql(f"SELECT {columns} FROM coverage WHERE {condition} ORDER BY date, feed, from_ts, to_ts")

    def coverage_shares(self, first: Date, last: Date | None = None, *, feeds: Codes = None) -> duckdb.DuckDBPyRelation:
        """Which share of a date's regular hours each feed recorded, from 0 to 1: `date`, `feed`, `share`.

        Dates on which the feed was not meant to record have no row, such as weekends and holidays.
        """
        dates = dates_of(first, last)
        self._incomplete.warn_of_days(dates)
        return self.sql(f"SELECT date, feed, recorded_us / asked_us AS share FROM ({shares(dates, self._feeds(feeds))})")

    def gaps(
        self, first: Date | None = None, last: Date | None = None, *, feeds: Codes = None
    ) -> duckdb.DuckDBPyRelation:
        """The stretches that were missed: `date`, `feed`, `from_ts`, `to_ts`, `length`, `reason` and `detail`."""
        dates = dates_or_all(first, last)
        condition = f"{during(dates)} AND {condition_on('feed', self._feeds(feeds))}"
        self._incomplete.warn_of_days(dates)
        return self.sql(f"FROM gaps WHERE {condition} ORDER BY date, feed, from_ts")

    def registrations(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None
    ) -> duckdb.DuckDBPyRelation:
        """When which issue was registered for which preset of the per-issue service, and what the server said."""
        dates = dates_or_all(first, last)
        condition = f"{during(dates)} AND {condition_on('code', codes_of(codes))}"
        self._incomplete.warn_of_days(dates)
        columns = "date, feed, * EXCLUDE (date, feed)"
        query = f"SELECT {columns} FROM registrations WHERE {condition}"
        return self._named(self.connection, query, "date, feed, preset, code, from_ts")

    def completeness(
        self, codes: Codes, first: Date, last: Date | None = None, *, session: Session = "regular"
    ) -> duckdb.DuckDBPyRelation:
        """How much of each issue's market was recorded in the hours of each date.

        Columns: `date`, `market`, `code`, `records`, `first_ts`, `last_ts` (of its trades on the date), `gaps` (stretches of the
        hours that were not recorded, or are not known yet), `missing_s` (their seconds), and `share` (what is left, from 0 to 1).
        """
        dates = dates_of(first, last)
        self._incomplete.warn_of_days(dates)
        query = f"""FROM completeness(DATE '{dates.first}', last_day := DATE '{dates.last}', {hours_of(session)})
                    WHERE {condition_on("code", stocks_of(codes))}"""
        return self._named(self.connection, query, "date, market, code")

    def follow(
        self, codes: Codes = None, *, dataset: str = "trades", kinds: Kinds = "trade"
    ) -> Iterator[pa.RecordBatch]:
        """Iterates over record batches of a dataset as they become durable, until the recorder stops.

        It begins with what is in no file yet. The columns are those of `trades`, `ticks` and so on; `kinds` counts for datasets of
        trades. In `ticks` the rows are as they were received: an issue with both presets has each trade twice. Each feed's rows are
        in order of arrival. If the recorder is killed, RecorderError is raised.
        """
        chosen, wanted = _of_frames(dataset), _codes_for(dataset, codes)
        of_kinds = kinds_of(kinds) if dataset == "trades" or dataset.endswith("ticks") else None
        return self._followed(chosen, wanted, of_kinds)

    def _followed(
        self, dataset: Dataset, codes: list[str] | None, kinds: list[str] | None
    ) -> Iterator[pa.RecordBatch]:
        key = dataset.partition_key or "feed"
        columns = ["date", key, *(name for name, _ in dataset.columns)]
        for batch in self._newest.follow(dataset, codes):
            for name, wanted in (("kind", kinds), ("code", codes)):
                if wanted is not None:
                    batch = batch.filter(pa.array([value in wanted for value in batch[name].to_pylist()], pa.bool_()))
            if batch.num_rows:
                yield batch.select(columns)

    def to_csv(
        self,
        path: str | os.PathLike[str],
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        rows: str = "trades",
        style: str = "plain",
        source: str = "ticks",
    ) -> int:
        """Writes a CSV file, compressed if its name ends in `.gz`; returns how many rows it has.

        `style` is `plain`, all columns of the answer to `trades`, `ticks`, `quotes` or `books`; or `tardis`, the columns of
        Tardis's files of `trades`, `quotes` or (for `books`, with ten levels) book snapshots: times in µs since 1970. There, `source`
        says whether trades are `ticks` or those of the conflated full-market feed, `trades`. The file appears when it is whole.
        """
        dates, wanted = dates_or_all(first, last), _codes_for(rows, codes)
        if style == "tardis":
            _one_of(rows, _tardis.ROWS, "rows")
            table = _one_of(source, ("ticks", "trades"), "source")
            query = _tardis.query(rows, table, f"{during(dates)} AND {condition_on('code', wanted)}")
            self._incomplete.warn(table if rows == "trades" else rows, dates, wanted)
        elif style == "plain":
            _one_of(rows, ("trades", "ticks", "quotes", "books", "indices"), "rows")
            kinds = "trade" if rows in ("trades", "ticks") else None
            query = self._rows(rows, wanted, first, last, kinds, live=False, ordered=True).sql_query()
        else:
            raise UsageError(f"there is no style {style!r}; choose plain or tardis")
        target = Path(path).expanduser()
        compression = "gzip" if target.suffix == ".gz" else "none"
        with whole(target) as partial:
            options = f"FORMAT csv, HEADER, COMPRESSION {compression}"
            try:
                done = self.connection.execute(f"COPY ({query}) TO {_views.literal(str(partial))} ({options})")
            except duckdb.IOException as error:
                raise KrxDataError(f"{target} cannot be written, or a file cannot be read: {error}") from None
            ((count,),) = done.fetchall()
            if not count:
                raise NoDataError(f"no such {rows} are in files, so nothing is written; issues() says what there is")
            return int(count)

    def to_hftbacktest(
        self, path: str | os.PathLike[str], code: str, date: Date, *, source: str = "ticks"
    ) -> int:
        """Writes an issue's trades and books of a date as the events that hftbacktest reads (`.npz`); returns how many.

        Both timestamps are the time of receipt, because the exchange sends none with books. A book has the levels that were sent
        last; where it is not known, because it was not recorded, it is cleared. `source` says whether trades are `ticks` or
        those of the conflated full-market feed, `trades`. Needs numpy.
        """
        wanted = _one_code(code)
        dates = dates_of(date)
        target = Path(path).expanduser()
        if target.suffix != ".npz":
            raise UsageError(f"{target} needs the suffix .npz: hftbacktest goes by it")
        self._warn_of_events(source, dates, [wanted])
        return _hftbacktest.write(target, events(self, wanted, dates.first, source), f"{wanted} on {dates.first}")

    def to_nautilus(
        self,
        path: str | os.PathLike[str],
        codes: str | Iterable[str],
        first: Date,
        last: Date | None = None,
        *,
        source: str = "ticks",
    ) -> dict[str, int]:
        """Writes stocks into a Parquet catalog of nautilus_trader; returns how many trades, quotes and books.

        Each stock is an `Equity` in KRW of the venue XKRX; its price increment is 1 KRW, as tick sizes depend on the price. Quotes are
        the best levels of the books. Where a book is not known, because it was not recorded, there is an empty one. `ts_init` is
        when a record was received. `source` says whether trades are `ticks` or those of the conflated full-market feed,
        `trades`. Needs nautilus_trader.
        """
        wanted, dates = stocks_of(codes) or [], dates_of(first, last)
        if not wanted:
            raise UsageError("name the issues for the catalog")
        self._warn_of_events(source, dates, wanted)
        return _nautilus.write(self, Path(path).expanduser(), wanted, dates, source)

    def plot(
        self, code: str, date: Date, *, width: str | dt.timedelta = "1min", session: Session = "regular"
    ) -> Figure:
        """Draws an issue's day, with what was not recorded shaded: `krxdata.plot.day`. Needs matplotlib."""
        from . import plot

        return plot.day(self, _one_code(code), date, width=width, session=session)

    def _rows(
        self, name: str, codes: Codes, first: Date | None, last: Date | None, kinds: Kinds, live: bool, ordered: bool
    ) -> duckdb.DuckDBPyRelation:
        dataset = DATASETS[name]
        wanted = _codes_for(name, codes)
        of_kinds, dates = kinds_of(kinds), dates_or_all(_calendar.today() if live and first is None else first, last)
        connection = self._live(dataset, wanted) if live else self.connection
        key = dataset.partition_key
        # Within a feed `frame` and `item` are the order of arrival, whatever the clock said. Between feeds only the clock can tell;
        # to sort by it would undo the first wherever it was set back.
        order = f"date, {key}, frame, item" if ordered else None
        condition = f"{during(dates)} AND {condition_on('code', wanted)} AND {condition_on('kind', of_kinds)}"
        if name == "indices":
            # The other views have no snapshots: the answer to a registration is not what happened then.
            condition += " AND kind <> 'snapshot'"
        self._incomplete.warn(name, dates, wanted, live)
        columns = f"date, {key}, * EXCLUDE (date, {key})"
        return self._named(connection, f"SELECT {columns} FROM {name} WHERE {condition}", order)

    def _derived(
        self, name: str, codes: Codes, first: Date | None, last: Date | None
    ) -> duckdb.DuckDBPyRelation:
        dates = dates_or_all(first, last)
        self._incomplete.warn_of_days(dates)
        made_of = ("trades", "ticks") if name == "daily" else ("derivative_ticks",)
        self._incomplete.warn_of_unsealed(name, made_of, dates)
        wanted = stocks_of(codes) if name == "daily" else codes_of(codes)
        query = f"SELECT date, * EXCLUDE (date) FROM {name} WHERE {during(dates)} AND {condition_on('code', wanted)}"
        return self._named(self.connection, query, "date, code, feed")

    def _named(self, connection: duckdb.DuckDBPyConnection, query: str, order: str | None) -> duckdb.DuckDBPyRelation:
        names = "LEFT JOIN issue_names USING (code)" if self._names is not None else ""
        return connection.sql(f"FROM ({query}) AS answer {names} {f'ORDER BY {order}' if order else ''}")

    def _connect(self, tail: tuple[str, pa.Table] | None = None) -> duckdb.DuckDBPyConnection:
        """A connection with the views, one of which may have newer rows than files."""
        connection = duckdb.connect()
        if self._names is not None:
            connection.register("issue_names", self._names)
        tails: tuple[str, ...] = ()
        first = _calendar.today()
        if tail is not None:
            name, rows = tail
            connection.register(f"tail_{name}", rows)
            # Of earlier dates it has nothing: files are all there is.
            tails = (name,)
            first = pc.min(rows["date"]).as_py() or first
        connection.execute(_views.of(self.data_dir, _views.find(self.data_dir), tails, first))
        return connection

    def _live(self, dataset: Dataset, codes: list[str] | None) -> duckdb.DuckDBPyConnection:
        """A connection whose views have the newest records, too; it lasts as long as its relations."""
        return self._connect((dataset.name, self._newest.table(dataset, codes)))

    def _warn_of_events(self, source: str, dates: Dates, codes: list[str]) -> None:
        self._incomplete.warn(_one_of(source, ("ticks", "trades"), "source"), dates, codes)
        if "books" in self._present:
            self._incomplete.warn("books", dates, codes)

    def _feeds(self, feeds: Codes) -> list[str] | None:
        """The feeds asked for, if they are on record."""
        wanted = feeds_of(feeds)
        known = {feed for (feed,) in self.connection.execute("SELECT DISTINCT feed FROM coverage").fetchall()}
        for feed in wanted or ():
            if known and feed not in known:
                raise UsageError(f"nothing is on record of a feed {feed!r}; there is {', '.join(sorted(known))}")
        return wanted


def _codes_for(dataset: str, codes: Codes) -> list[str] | None:
    """The codes asked for; those of stocks have lost no zeros."""
    return stocks_of(codes) if dataset in ("trades", "ticks", "quotes", "books") else codes_of(codes)


def _one_code(code: str) -> str:
    found = stocks_of(code)
    if found is None or len(found) != 1:
        raise UsageError(f"one issue code is needed here, such as '005930', and not {code!r}")
    return found[0]


def _one_of(word: str, words: tuple[str, ...], what: str) -> str:
    if word not in words:
        raise UsageError(f"{what} is one of {', '.join(words)}, and not {word!r}")
    return word


def _of_frames(name: str) -> Dataset:
    dataset = dataset_of(name)
    if not dataset.is_of_frames or not dataset.has_codes:
        names = ", ".join(each.name for each in DATASETS.values() if each.is_of_frames and each.has_codes)
        raise UsageError(f"{name} is not received record by record; choose one of {names}")
    return dataset


def _check_version(data_dir: Path, dataset: Dataset) -> None:
    """Refuses files of a newer recorder, whose columns may mean something else."""
    file = _views.newest_file(data_dir, dataset)
    if file is None:
        return
    try:
        metadata = pq.read_metadata(file).metadata or {}
    except (OSError, pa.ArrowInvalid):
        # The query that reads it reports the error.
        return
    version = metadata.get(b"krx.schema_version", b"1").decode()
    if version.isdecimal() and int(version) > dataset.schema_version:
        raise VersionError(
            f"{dataset.name} was written by a newer recorder, with schema version {version}, and this krxdata knows "
            f"{dataset.schema_version}: install the krxdata of the recorder's version"
        )
