"""A data directory, and the questions that can be asked of it."""

from __future__ import annotations

import datetime as dt
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from . import _views
from ._arguments import Codes, Date, Dates, Session, codes_of, condition_on, hours_of, instant_of, width_of
from ._datasets import DATASETS, Dataset, dataset_of
from ._errors import IncompleteWarning, NoDataError, UsageError, VersionError
from ._newest import Newest

KST = dt.timezone(dt.timedelta(hours=9))

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

    The newest records are not in files yet. To have them too (`live=True`, `follow`), say where the running recorder tells of
    itself: `status` is the address of its status port, such as ``"localhost:9464"``; or `config` is its configuration file,
    on the recorder's machine. If no recorder runs there, neither is needed.

    `issues` names the issues: a CSV or Parquet file, or a table of pandas, polars or Arrow, with the column `code`. Results get
    its other columns, such as the name, after their own.

    Raises NoDataError if the directory is none of a recorder, and VersionError if a newer recorder wrote it.
    """
    directory = Path(data_dir).expanduser().absolute()
    return Data(directory, Newest(directory, status, Path(config) if config else None), _names(issues))


def _names(issues: Any) -> pa.Table | None:
    if issues is None:
        return None
    with duckdb.connect() as connection:
        if isinstance(issues, (str, os.PathLike)):
            path = str(issues)
            if path.endswith(".parquet"):
                rows = connection.read_parquet(path)
            else:
                rows = connection.sql(f"FROM read_csv({_views.literal(path)}, types = {{'code': 'VARCHAR'}})")
        else:
            rows = connection.sql("FROM issues")
        names: pa.Table = rows.to_arrow_table()
    if "code" not in names.column_names:
        raise UsageError(f"the list of issues has no column `code`, but {', '.join(names.column_names)}")
    if names["code"].type not in (pa.string(), pa.large_string(), pa.string_view()):
        raise UsageError("the list of issues has numbers for codes, which lack their zeros: read the column `code` as text")
    if len(names["code"].unique()) < len(names):
        raise UsageError("the list of issues names a code twice: each row of a result would be there twice")
    return names


class Data:
    """An open data directory. Made by `open`.

    Results are DuckDB relations, which read files when you ask for their rows: each time anew, so they show what is there then.
    Use a Data and its relations from one thread at a time.
    """

    def __init__(self, data_dir: Path, newest: Newest, names: pa.Table | None) -> None:
        self.data_dir = data_dir
        self._newest = newest
        self._names = names
        self._warned: set[tuple[str, str]] = set()
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
            self._present = present
            self._connection.execute(_views.of(self.data_dir, present))
        return self._connection

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """What DuckDB answers to a query of the recorder's views and macros."""
        return self.connection.sql(query)

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
        dates = Dates.of(first, last)
        feeds = {"trades": "market", "recorded_ticks": "feed", "recorded_derivative_ticks": "feed"}
        of_each = [
            f"""SELECT date, {feed} AS feed, code, '{view.removeprefix("recorded_")}' AS dataset, count(*) AS records,
                       min(trade_ts) AS first_ts, max(trade_ts) AS last_ts
                FROM {view} WHERE kind = 'trade' AND {dates.condition()} GROUP BY date, {feed}, code"""
            for view, feed in feeds.items()
        ]
        self._warn("trades", dates)
        return self._named(self.connection, " UNION ALL ".join(of_each), "date, feed, code, dataset")

    def trades(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        kinds: Kinds = "trade",
        live: bool = False,
    ) -> duckdb.DuckDBPyRelation:
        """Trades of the full-market feeds, in order of arrival.

        `codes` is an issue code or several, `first` a date or the first of several up to `last`; without them, all that
        there are. `kinds=None` shows all rows: also block trades, and signals, whose price and volume are not of a trade. With
        `live=True` today's newest are there too, up to this moment; without a date, it is today's.

        The full-market feeds are conflated: a row may stand for several trades. `ticks` has each.
        """
        return self._rows("trades", codes, first, last, kinds, live)

    def ticks(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        kinds: Kinds = "trade",
        live: bool = False,
    ) -> duckdb.DuckDBPyRelation:
        """Every trade of registered stocks, each once, in order of arrival. Arguments as of `trades`."""
        return self._rows("ticks", codes, first, last, kinds, live)

    def derivative_ticks(
        self,
        codes: Codes = None,
        first: Date | None = None,
        last: Date | None = None,
        *,
        kinds: Kinds = "trade",
        live: bool = False,
    ) -> duckdb.DuckDBPyRelation:
        """Every trade of registered futures and options, each once, in order of arrival. Arguments as of `trades`."""
        return self._rows("derivative_ticks", codes, first, last, kinds, live)

    def quotes(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None, *, live: bool = False
    ) -> duckdb.DuckDBPyRelation:
        """Best bids and asks of registered stocks, in order of arrival, of one feed at a time. Arguments as of `trades`."""
        return self._rows("quotes", codes, first, last, None, live)

    def books(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None, *, live: bool = False
    ) -> duckdb.DuckDBPyRelation:
        """Books of ten levels of registered stocks, in order of arrival, of one feed at a time. Arguments as of `trades`."""
        return self._rows("books", codes, first, last, None, live)

    def derivative_quotes(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None, *, live: bool = False
    ) -> duckdb.DuckDBPyRelation:
        """Best bids and asks of registered futures and options. As `quotes`."""
        return self._rows("derivative_quotes", codes, first, last, None, live)

    def derivative_books(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None, *, live: bool = False
    ) -> duckdb.DuckDBPyRelation:
        """Books of five levels of registered futures and options. As `books`."""
        return self._rows("derivative_books", codes, first, last, None, live)

    def indices(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None, *, live: bool = False
    ) -> duckdb.DuckDBPyRelation:
        """Values of registered indices as they were pushed, in order of arrival; of each feed that has them. Arguments as of
        `trades`."""
        return self._rows("indices", codes, first, last, None, live)

    def book_at(self, code: str, instant: str | dt.datetime) -> duckdb.DuckDBPyRelation:
        """An issue's book at an instant, a row for each level; without a zone, it is a time in Korea.

        Columns: `level` (from 1), `ask_price`, `ask_size`, `bid_price`, `bid_size`, and `recv_ts`, when it was received. No rows:
        it is not known, as nothing of the issue's book was recorded then.
        """
        if not isinstance(code, str):
            raise UsageError(f"an issue code is text, such as '005930', and not {code!r}")
        return self.sql(f"FROM book_at({_views.literal(code)}, {instant_of(instant)}) ORDER BY level")

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
        dates = Dates.of(first, last)
        arguments = [f"DATE '{dates.first}'", f"DATE '{dates.last}'", f"width := {width_of(width)}", hours_of(session)]
        if delay is not None:
            arguments.append(f"delay := {width_of(delay)}")
        wanted = condition_on("code", codes_of(codes))
        self._warn("trades", dates)
        query = f"FROM bars({', '.join(arguments)}) WHERE {wanted}"
        return self._named(self.connection, query, "code, market, from_ts")

    def daily(self, codes: Codes = None, first: Date | None = None, last: Date | None = None) -> duckdb.DuckDBPyRelation:
        """Daily rows of stocks, made when a date was sealed: one for each date, feed and issue.

        Columns: `open`, `high`, `low`, `close`, `official_close` (the closing price as KRX's signal tells it; null if none came),
        `volume`, `value` and `records` of the regular session, `first_ts`, `last_ts`, and `recorded_share`, which share of the
        session was recorded. What was not recorded is not in them. A date that is not sealed yet has no rows.
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
        condition = f"{Dates.of(first, last).condition()} AND {condition_on('feed', codes_of(feeds))}"
        columns = "date, feed, * EXCLUDE (date, feed)"
        return self.sql(f"SELECT {columns} FROM coverage WHERE {condition} ORDER BY date, feed, from_ts, to_ts")

    def gaps(
        self, first: Date | None = None, last: Date | None = None, *, feeds: Codes = None
    ) -> duckdb.DuckDBPyRelation:
        """The stretches that were missed: `date`, `feed`, `from_ts`, `to_ts`, `length`, `reason` and `detail`."""
        condition = f"{Dates.of(first, last).condition()} AND {condition_on('feed', codes_of(feeds))}"
        return self.sql(f"FROM gaps WHERE {condition} ORDER BY date, feed, from_ts")

    def registrations(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None
    ) -> duckdb.DuckDBPyRelation:
        """When which issue was registered for which preset of the per-issue service, and what the server said."""
        condition = f"{Dates.of(first, last).condition()} AND {condition_on('code', codes_of(codes))}"
        columns = "date, feed, * EXCLUDE (date, feed)"
        query = f"SELECT {columns} FROM registrations WHERE {condition}"
        return self._named(self.connection, query, "date, feed, preset, code, from_ts")

    def completeness(
        self, codes: Codes = None, first: Date | None = None, last: Date | None = None, *, session: Session = "regular"
    ) -> duckdb.DuckDBPyRelation:
        """How much of each issue's market was recorded in the hours of each date.

        Columns: `date`, `market`, `code`, `records`, `first_ts`, `last_ts` (of its trades on the date), `gaps` (stretches of the
        hours that were not recorded, or are not known yet), `missing_s` (their seconds), and `share` (what is left, from 0 to 1).
        Without a date, it is today.
        """
        dates = Dates.of(first if first is not None else today(), last)
        query = f"""FROM completeness(DATE '{dates.first}', DATE '{dates.last}', {hours_of(session)})
                    WHERE {condition_on("code", codes_of(codes))}"""
        return self._named(self.connection, query, "date, market, code")

    def follow(
        self, codes: Codes = None, *, dataset: str = "trades", kinds: Kinds = None
    ) -> Iterator[pa.RecordBatch]:
        """Iterates over record batches of a dataset as they become durable, until the recorder stops.

        It begins with what is in no file yet. Batches have the dataset's columns, and `date` and `market` or `feed`; in
        `ticks` they are the rows as they were received, so an issue with both presets has each trade twice. Each feed's
        rows are in order of arrival.
        """
        wanted = set(codes_of(kinds) or ())
        for batch in self._newest.follow(_of_frames(dataset), codes_of(codes)):
            if not wanted:
                yield batch
                continue
            mask = pa.array([kind in wanted for kind in batch["kind"].to_pylist()])
            chosen = batch.filter(mask)
            if chosen.num_rows:
                yield chosen

    def _rows(
        self, name: str, codes: Codes, first: Date | None, last: Date | None, kinds: Kinds, live: bool
    ) -> duckdb.DuckDBPyRelation:
        dataset = DATASETS[name]
        wanted, dates = codes_of(codes), Dates.of(today() if live and first is None else first, last)
        connection = self._live(dataset, wanted) if live else self.connection
        key = dataset.partition_key
        # Of one feed, `frame` and `item` are the order of arrival, whatever the clock said; between feeds the clock decides.
        order = f"date, {key}, frame, item"
        if wanted is None or len(wanted) > 1:
            order = f"date, max(recv_ts) OVER (PARTITION BY date, {key} ORDER BY frame, item), {key}, frame, item"
        condition = f"{dates.condition()} AND {condition_on('code', wanted)} AND {condition_on('kind', codes_of(kinds))}"
        if name == "indices":
            # The other views have no snapshots: the answer to a registration is not what happened then.
            condition += " AND kind <> 'snapshot'"
        self._warn(name, dates)
        columns = f"date, {key}, * EXCLUDE (date, {key})"
        return self._named(connection, f"SELECT {columns} FROM {name} WHERE {condition}", order)

    def _derived(
        self, name: str, codes: Codes, first: Date | None, last: Date | None
    ) -> duckdb.DuckDBPyRelation:
        condition = f"{Dates.of(first, last).condition()} AND {condition_on('code', codes_of(codes))}"
        query = f"SELECT date, * EXCLUDE (date) FROM {name} WHERE {condition}"
        return self._named(self.connection, query, "date, code, feed")

    def _named(self, connection: duckdb.DuckDBPyConnection, query: str, order: str) -> duckdb.DuckDBPyRelation:
        if self._names is None:
            return connection.sql(f"FROM ({query}) ORDER BY {order}")
        return connection.sql(f"FROM ({query}) LEFT JOIN issue_names USING (code) ORDER BY {order}")

    def _connect(self, tails: dict[str, pa.Table] | None = None) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        for name, table in (tails or {}).items():
            connection.register(f"tail_{name}", table)
        if self._names is not None:
            connection.register("issue_names", self._names)
        connection.execute(_views.of(self.data_dir, self._present, tails or (), self._first_in_journal()))
        return connection

    def _live(self, dataset: Dataset, codes: list[str] | None) -> duckdb.DuckDBPyConnection:
        """A connection whose views have the newest records, too; it lasts as long as its relations."""
        table = self._newest.table(dataset, codes)
        self._present = _views.find(self.data_dir)
        return self._connect({dataset.name: table})

    def _first_in_journal(self) -> dt.date:
        """Files have all of earlier dates."""
        names = (path.name.split("-") for path in (self.data_dir / ".krx" / "journal").glob("*/*.journal"))
        dates = [dt.datetime.strptime(parts[1], "%Y%m%d").date() for parts in names if len(parts) == 3]
        return min([*dates, today()])

    def _warn(self, name: str, dates: Dates) -> None:
        """Warns of what was not recorded in the regular hours of these dates, once for each date and feed."""
        if "coverage" not in self._present:
            return
        key = DATASETS[name].partition_key
        found = (path.name.partition("=")[2] for path in (self.data_dir / name).glob(f"date=*/{key}=*"))
        feeds = sorted(set(found))
        if not feeds:
            return
        span = dates
        if dates.first is None:
            bounds = self._connection.execute("SELECT min(date), max(date) FROM coverage").fetchone()
            if bounds is None or bounds[0] is None:
                return
            span = Dates(*bounds)
        rows = self._connection.execute(f"""
            WITH asked AS (
                SELECT date, epoch_us(hours_end) - epoch_us(hours_begin) AS asked_us
                FROM hours_of(DATE '{span.first}', DATE '{span.last}', NULL, NULL)
            ), recorded AS (
                SELECT date, feed, sum(epoch_us(ends) - epoch_us(begins)) AS recorded_us
                FROM live_stretches(DATE '{span.first}', DATE '{span.last}', NULL, NULL, 'regular')
                GROUP BY date, feed
            ), told AS (
                SELECT date, feed, strftime(timezone('Asia/Seoul', max(to_ts)), '%H:%M:%S') AS until,
                       bool_or(state <> 'idle') AS is_open
                FROM coverage WHERE {span.condition()} AND {condition_on("feed", feeds)}
                GROUP BY date, feed
            )
            SELECT date, feed, asked_us, coalesce(recorded_us, 0), until
            FROM told JOIN asked USING (date) LEFT JOIN recorded USING (date, feed)
            WHERE is_open AND coalesce(recorded_us, 0) < asked_us ORDER BY date, feed
        """).fetchall()
        news = [row for row in rows if (str(row[0]), row[1]) not in self._warned]
        if news:
            self._warned.update((str(row[0]), row[1]) for row in news)
            told = [_in_words(*row) for row in news[:3]]
            more = f", and {len(news) - 3} more dates and feeds" if len(news) > 3 else ""
            warnings.warn(
                f"not all of the regular hours is recorded: {'; '.join(told)}{more}. See gaps() and completeness()",
                IncompleteWarning,
                stacklevel=4,
            )


def today() -> dt.date:
    """The date in Korea."""
    return dt.datetime.now(KST).date()


def _in_words(date: dt.date, feed: str, asked_us: int, recorded_us: int, until: str) -> str:
    if date == today():
        return f"{feed} of {date} is known up to {until}, and {recorded_us / 1e6:,.0f} s of the hours so far are there"
    return f"{feed} of {date} lacks {(asked_us - recorded_us) / 1e6:,.0f} s"


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
        # Whoever reads it says what is wrong.
        return
    version = metadata.get(b"krx.schema_version", b"1").decode()
    if version.isdecimal() and int(version) > dataset.schema_version:
        raise VersionError(
            f"{dataset.name} was written by a newer recorder, with schema version {version}, and this krxdata knows "
            f"{dataset.schema_version}: pip install --upgrade krxdata"
        )
