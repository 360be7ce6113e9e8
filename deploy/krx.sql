-- DuckDB views over a data directory, which know when nothing was recorded: docs/reading-the-data.md. From within it:
--   duckdb -init /usr/share/doc/krx-recorder/examples/krx.sql
-- `krx-recorder sql --data-dir DIR` prints the same with the directory's absolute path, for use from anywhere.

-- DuckDB shows instants in the session's zone. Nothing below depends on it.
SET TimeZone = 'Asia/Seoul';

CREATE OR REPLACE TEMP VIEW trades AS
FROM read_parquet('trades/**/*.parquet', hive_partitioning = true, hive_types = {'date': DATE, 'market': VARCHAR});

CREATE OR REPLACE TEMP VIEW coverage AS
FROM read_parquet('coverage/**/*.parquet', hive_partitioning = true, hive_types = {'date': DATE, 'market': VARCHAR});

CREATE OR REPLACE TEMP VIEW gaps AS
SELECT date, market, from_ts, to_ts, to_ts - from_ts AS length, reason, detail
FROM coverage
WHERE state = 'gap';

-- As long as nothing was quarantined there is no such directory, and DuckDB refuses a pattern that finds nothing. So
-- coverage, which there always is, is read along and left out again: it has no `raw`.
CREATE OR REPLACE TEMP VIEW quarantine AS
SELECT date, market, recv_ts, frame, item, session, reason, detail, raw
FROM (
    (SELECT NULL::TIMESTAMPTZ AS recv_ts, NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::BLOB AS raw WHERE false)
    UNION ALL BY NAME
    FROM read_parquet('[cq]*/**/*.parquet', union_by_name = true, hive_partitioning = true,
                      hive_types = {'date': DATE, 'market': VARCHAR})
)
WHERE raw IS NOT NULL;

-- The time of a day in Korea, whatever the session's zone.
CREATE OR REPLACE TEMP MACRO korean(day, clock) AS
timezone('Asia/Seoul', day::DATE + clock::TIME);

-- Bars of a day: a row for every interval from `from_time` to `to_time` and each issue that traded on the day.
--
-- Not recorded to the last microsecond: `complete` is false and the values are NULL. Recorded, and nothing traded:
-- `records` and `volume` are 0 and the prices NULL. Nothing is carried forward.
--
-- What is made shortly before a gap may arrive in it: `delay` makes an interval complete only if it was recorded for
-- that much longer.
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
), live AS (
    SELECT market, nth,
           sum(epoch_us(least(to_ts, ends + delay)) - epoch_us(greatest(from_ts, begins))) AS recorded_us
    FROM slot JOIN coverage ON from_ts < ends + delay AND to_ts > begins
    WHERE date = day::DATE AND state = 'live'
    GROUP BY market, nth
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
    LEFT JOIN live ON live.market = issue.market AND live.nth = slot.nth
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
-- `last_day`: `gaps` counts the stretches that were not, `missing_s` their seconds, and `share` is what is left, from 0
-- to 1. `records`, `first_ts` and `last_ts` are of the issue's trades of the whole date.
CREATE OR REPLACE TEMP MACRO completeness(
    first_day, last_day := NULL, from_time := TIME '09:00', to_time := TIME '15:30'
) AS TABLE
WITH issue AS (
    SELECT date, market, code, count(*) AS records, min(trade_ts) AS first_ts, max(trade_ts) AS last_ts
    FROM trades
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND kind = 'trade'
    GROUP BY date, market, code
), live AS (
    SELECT date, market, korean(date, to_time) AS hours_end, greatest(from_ts, korean(date, from_time)) AS begins,
           least(to_ts, korean(date, to_time)) AS ends
    FROM coverage
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND state = 'live'
      AND from_ts < korean(date, to_time) AND to_ts > korean(date, from_time)
), stretch AS (
    SELECT *, begins > lag(ends, 1, korean(date, from_time)) OVER (PARTITION BY date, market ORDER BY begins) AS after_gap
    FROM live
), recorded AS (
    SELECT date, market, sum(epoch_us(ends) - epoch_us(begins)) AS recorded_us,
           count(*) FILTER (after_gap) + (max(ends) < max(hours_end))::INTEGER AS gaps
    FROM stretch
    GROUP BY date, market
)
SELECT issue.date, issue.market, code, records, first_ts, last_ts, coalesce(gaps, 1) AS gaps,
       (asked_us - coalesce(recorded_us, 0)) / 1e6 AS missing_s,
       coalesce(recorded_us, 0) / asked_us AS share
FROM (SELECT *, epoch_us(korean(date, to_time)) - epoch_us(korean(date, from_time)) AS asked_us FROM issue) AS issue
LEFT JOIN recorded ON recorded.date = issue.date AND recorded.market = issue.market;
