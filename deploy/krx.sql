-- DuckDB views over a data directory that account for gaps: docs/reading-the-data.md. From inside the directory:
--   duckdb -init /usr/share/doc/krx-recorder/examples/krx.sql
-- `krx-recorder sql --data-dir DIR` prints the same with the directory's absolute path, for use from anywhere.

-- DuckDB shows instants in the session's zone. Nothing below depends on it.
SET TimeZone = 'Asia/Seoul';

CREATE OR REPLACE TEMP VIEW trades AS
FROM read_parquet('trades/**/*.parquet', hive_partitioning = true, hive_types = {'date': DATE, 'market': VARCHAR});

CREATE OR REPLACE TEMP VIEW coverage AS
FROM read_parquet('coverage/**/*.parquet', hive_partitioning = true, hive_types = {'date': DATE, 'feed': VARCHAR});

CREATE OR REPLACE TEMP VIEW gaps AS
SELECT date, feed, from_ts, to_ts, to_ts - from_ts AS length, reason, detail
FROM coverage
WHERE state = 'gap';

-- A feed of a market has the market's name: joins are `coverage.feed = trades.market`.

-- Until something is quarantined there is no such directory, and DuckDB rejects a pattern that matches nothing. So this
-- also reads coverage, which always exists, and drops it again: it has no `raw`. Of two patterns each would have to match
-- something; this one fits the two names and no other dataset's.
CREATE OR REPLACE TEMP VIEW quarantine AS
SELECT date, feed, recv_ts, frame, item, session, reason, detail, raw
FROM (
    (SELECT NULL::TIMESTAMPTZ AS recv_ts, NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::BLOB AS raw WHERE false)
    UNION ALL BY NAME
    FROM read_parquet('[cq][ou][av][er]*/**/*.parquet', union_by_name = true, hive_partitioning = true,
                      hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE raw IS NOT NULL;

-- The time of a day in Korea, whatever the session's zone.
CREATE OR REPLACE TEMP MACRO korean(day, clock) AS
timezone('Asia/Seoul', day::DATE + clock::TIME);

-- The stretches of each feed that were recorded between `from_time` and `to_time`, on the dates from `first_day` to
-- `last_day`. Whatever follows a date's last `to_ts` is not known yet, and not included.
CREATE OR REPLACE TEMP MACRO live_stretches(first_day, last_day, from_time, to_time) AS TABLE
SELECT date, feed, greatest(from_ts, korean(date, from_time)) AS begins, least(to_ts, korean(date, to_time)) AS ends
FROM coverage
WHERE date BETWEEN first_day::DATE AND last_day::DATE AND state = 'live'
  AND from_ts < korean(date, to_time) AND to_ts > korean(date, from_time);

-- The issues for a market's dates without a trade: those that traded on one of the five dates recorded before. Only for
-- dates for which coverage has more than `idle`, and which were not fully recorded from `from_time` to `to_time`: on any
-- other date without a trade nothing was missed. `code` is NULL where no issue is known yet.
--
-- The date in year 1 is never found. It keeps DuckDB from opening all files where there is nothing to look for.
CREATE OR REPLACE TEMP MACRO issues_without_trades(first_day, last_day, from_time, to_time) AS TABLE
WITH partition AS (
    SELECT DISTINCT TRY_CAST(regexp_extract(file, 'date=([0-9-]+)/market=[^/]+/[^/]+$', 1) AS DATE) AS date,
           regexp_extract(file, 'date=[0-9-]+/market=([^/]+)/[^/]+$', 1) AS market
    FROM glob('trades/**/*.parquet')
), doubtful AS (
    SELECT date, feed AS market
    FROM coverage
    WHERE date BETWEEN first_day::DATE AND last_day::DATE AND feed IN (SELECT market FROM partition)
    GROUP BY date, feed
    HAVING bool_or(state <> 'idle')
    EXCEPT
    SELECT date, feed
    FROM live_stretches(first_day, last_day, from_time, to_time)
    GROUP BY date, feed
    HAVING sum(epoch_us(ends) - epoch_us(begins))
           >= max(epoch_us(korean(date, to_time)) - epoch_us(korean(date, from_time)))
), traded AS (
    SELECT DISTINCT date, market
    FROM trades SEMI JOIN (FROM doubtful UNION ALL SELECT DATE '0001-01-01', '') USING (date, market)
    WHERE kind = 'trade'
), silent AS (
    FROM doubtful EXCEPT FROM traded
), earlier AS (
    SELECT silent.date AS of, partition.date, market
    FROM silent JOIN partition USING (market)
    WHERE partition.date < silent.date
    QUALIFY row_number() OVER (PARTITION BY market, silent.date ORDER BY partition.date DESC) <= 5
    UNION ALL
    SELECT DATE '0001-01-01', DATE '0001-01-01', ''
), known AS (
    SELECT DISTINCT earlier.of AS date, market, code
    FROM trades JOIN earlier USING (date, market)
    WHERE kind = 'trade'
)
SELECT date, market, code
FROM silent LEFT JOIN known USING (date, market);

-- Bars of a day: a row for each interval from `from_time` to `to_time` and each issue that traded on the day; or, if no
-- trade was recorded, each issue that traded on the dates before.
--
-- Not recorded to the last microsecond, or not known yet: `complete` is false and the values are NULL. Recorded, and
-- nothing traded: `records` and `volume` are 0 and the prices NULL. Nothing is carried forward.
--
-- Trades made shortly before a gap may arrive during it: with `delay` an interval is only complete if recording went on
-- for that much longer.
CREATE OR REPLACE TEMP MACRO bars(
    day, width := INTERVAL '1 minute', from_time := TIME '09:00', to_time := TIME '15:30', delay := INTERVAL '0 seconds'
) AS TABLE
WITH hours AS (
    SELECT epoch_us(korean(day, from_time)) AS begins_us, epoch_us(korean(day, to_time)) AS ends_us,
           epoch_us(width) AS width_us
), slot AS (
    SELECT nth, make_timestamptz(begins_us + nth * width_us) AS begins,
           make_timestamptz(least(begins_us + (nth + 1) * width_us, ends_us)) AS ends
    FROM (SELECT *, unnest(range(0, (ends_us - begins_us + width_us - 1) // width_us)) AS nth FROM hours)
), issue AS (
    SELECT DISTINCT market, code FROM trades WHERE date = day::DATE AND kind = 'trade'
    UNION ALL
    SELECT market, code FROM issues_without_trades(day, day, from_time, to_time)
), live AS (
    SELECT feed, nth,
           sum(epoch_us(least(to_ts, ends + delay)) - epoch_us(greatest(from_ts, begins))) AS recorded_us
    FROM slot JOIN coverage ON from_ts < ends + delay AND to_ts > begins
    WHERE date = day::DATE AND state = 'live'
    GROUP BY feed, nth
), bar AS (
    SELECT market, code, (epoch_us(trade_ts) - begins_us) // width_us AS nth, count(*) AS records,
           first(price ORDER BY frame, item) AS open, max(price) AS high, min(price) AS low,
           last(price ORDER BY frame, item) AS close, sum(volume)::BIGINT AS volume
    FROM trades, hours
    WHERE date = day::DATE AND kind = 'trade'
      AND trade_ts >= korean(day, from_time) AND trade_ts < korean(day, to_time)
    GROUP BY market, code, nth
), joined AS (
    SELECT issue.market, issue.code, slot.begins, slot.ends, bar.*,
           coalesce(recorded_us >= epoch_us(ends + delay) - epoch_us(begins), false) AS complete
    FROM issue CROSS JOIN slot
    LEFT JOIN live ON live.feed = issue.market AND live.nth = slot.nth
    LEFT JOIN bar ON bar.market = issue.market AND bar.code = issue.code AND bar.nth = slot.nth
)
SELECT day::DATE AS date, market, code, begins AS from_ts, ends AS to_ts,
       CASE WHEN complete THEN open END AS open, CASE WHEN complete THEN high END AS high,
       CASE WHEN complete THEN low END AS low, CASE WHEN complete THEN close END AS close,
       CASE WHEN complete THEN coalesce(volume, 0) END AS volume,
       CASE WHEN complete THEN coalesce(records, 0) END AS records,
       complete
FROM joined;

-- How much of each issue's market was recorded between `from_time` and `to_time`, on each date from `first_day` to
-- `last_day`: `gaps` counts the stretches that were not, `missing_s` is their length in seconds, and `share` is what is
-- left, from 0 to 1. `records`, `first_ts` and `last_ts` describe the issue's trades of the whole date. A date that was
-- not fully recorded and has no trade gets the issues of the dates before, with 0 records.
CREATE OR REPLACE TEMP MACRO completeness(
    first_day, last_day := NULL, from_time := TIME '09:00', to_time := TIME '15:30'
) AS TABLE
WITH issue AS (
    SELECT date, market, code, count(*) AS records, min(trade_ts) AS first_ts, max(trade_ts) AS last_ts
    FROM trades
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND kind = 'trade'
    GROUP BY date, market, code
    UNION ALL
    SELECT date, market, code, 0, NULL, NULL
    FROM issues_without_trades(first_day, coalesce(last_day::DATE, first_day::DATE), from_time, to_time)
), stretch AS (
    SELECT *, korean(date, to_time) AS hours_end,
           begins > lag(ends, 1, korean(date, from_time)) OVER (PARTITION BY date, feed ORDER BY begins) AS after_gap
    FROM live_stretches(first_day, coalesce(last_day::DATE, first_day::DATE), from_time, to_time)
), recorded AS (
    SELECT date, feed, sum(epoch_us(ends) - epoch_us(begins)) AS recorded_us,
           count(*) FILTER (after_gap) + (max(ends) < max(hours_end))::INTEGER AS gaps
    FROM stretch
    GROUP BY date, feed
)
SELECT issue.date, issue.market, code, records, first_ts, last_ts, coalesce(gaps, 1) AS gaps,
       (asked_us - coalesce(recorded_us, 0)) / 1e6 AS missing_s,
       coalesce(recorded_us, 0) / asked_us AS share
FROM (SELECT *, epoch_us(korean(date, to_time)) - epoch_us(korean(date, from_time)) AS asked_us FROM issue) AS issue
LEFT JOIN recorded ON recorded.date = issue.date AND recorded.feed = issue.market;

-- The records of a day that a server sent again after a reconnect: the longest run at the beginning of a session that
-- repeats, record by record and in the same order, the end of the session before it. `code`, `trade_time`, `price` and
-- `volume` must be equal, and one record of the run must be a trade: signals have no clock time, and repeat anyway.
-- `first_session`, `first_frame` and `first_item` name the record that came first.
--
-- It examines 1,000 messages before a reconnect, at most 100,000 records, and 1,000 after it.
CREATE OR REPLACE TEMP MACRO resent(day) AS TABLE
WITH reconnect AS (
    SELECT market, session, begins, lag(session) OVER sessions AS session_before, lag(ends) OVER sessions AS ends_before
    FROM (
        SELECT market, session, min(frame) AS begins, max(frame) AS ends
        FROM trades
        WHERE date = day::DATE
        GROUP BY market, session
    )
    WINDOW sessions AS (PARTITION BY market ORDER BY session)
    QUALIFY session_before IS NOT NULL
), ending AS (
    SELECT reconnect.market, reconnect.session, code, trade_time, price, volume,
           trades.session AS first_session, frame AS first_frame, item AS first_item,
           row_number() OVER (PARTITION BY reconnect.market, reconnect.session ORDER BY frame DESC, item DESC) AS from_end
    FROM trades JOIN reconnect
      ON trades.market = reconnect.market AND trades.session = session_before AND frame > ends_before - 1000
    WHERE date = day::DATE
    QUALIFY from_end <= 100000
), beginning AS (
    SELECT trades.*, row_number() OVER (PARTITION BY trades.market, trades.session ORDER BY frame, item) AS nth
    FROM trades JOIN reconnect
      ON trades.market = reconnect.market AND trades.session = reconnect.session AND frame < begins + 1000
    WHERE date = day::DATE
), candidate AS (
    SELECT market, session, from_end AS length
    FROM beginning JOIN ending USING (market, session, code, trade_time, price, volume)
    WHERE nth = 1
), run AS (
    SELECT candidate.market, candidate.session, length
    FROM candidate
    JOIN ending ON ending.market = candidate.market AND ending.session = candidate.session AND from_end <= length
    JOIN beginning USING (code, trade_time, price, volume)
    WHERE beginning.market = candidate.market AND beginning.session = candidate.session
      AND nth = length - from_end + 1
    GROUP BY candidate.market, candidate.session, length
    HAVING count(*) = length AND bool_or(kind = 'trade')
    QUALIFY length = max(length) OVER (PARTITION BY candidate.market, candidate.session)
)
SELECT date, market, beginning.code, trade_ts, beginning.price, beginning.volume, kind, beginning.trade_time, recv_ts,
       frame, item, session, first_session, first_frame, first_item
FROM beginning JOIN run USING (market, session) JOIN ending USING (market, session)
WHERE nth <= length AND from_end = length - nth + 1;
