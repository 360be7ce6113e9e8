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

-- Datasets with one file per date, of all feeds. DuckDB does not read files together whose partitions have other keys, so these
-- take the date from their names.

CREATE OR REPLACE TEMP VIEW clock AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, session, frames, rows, detail, filename)
       REPLACE (TRY_CAST(regexp_extract(filename, 'date=([0-9-]+)/[^/]+$', 1) AS DATE) AS date)
FROM (
SELECT NULL::TIMESTAMPTZ AS ts, NULL::BOOLEAN AS synchronised, NULL::BIGINT AS offset_us,
       NULL::BIGINT AS max_error_us, NULL::VARCHAR AS source, NULL::DATE AS date
WHERE false
UNION ALL BY NAME
FROM read_parquet('c[ol]*[ao][gc][ek]/**/*.parquet', union_by_name = true, hive_partitioning = false,
                  filename = true)
)
WHERE ts IS NOT NULL;

-- The regular session of each issue, one row for each feed, made when a date is sealed. Where several feeds have an issue, say
-- which one you want.

CREATE OR REPLACE TEMP VIEW daily AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, session, frames, rows, detail, filename)
       REPLACE (TRY_CAST(regexp_extract(filename, 'date=([0-9-]+)/[^/]+$', 1) AS DATE) AS date)
FROM (
SELECT NULL::VARCHAR AS feed, NULL::VARCHAR AS market, NULL::VARCHAR AS code, NULL::BIGINT AS open,
       NULL::BIGINT AS high, NULL::BIGINT AS low, NULL::BIGINT AS close, NULL::BIGINT AS official_close,
       NULL::BIGINT AS volume, NULL::BIGINT AS value, NULL::BIGINT AS records, NULL::TIMESTAMPTZ AS first_ts,
       NULL::TIMESTAMPTZ AS last_ts, NULL::DOUBLE AS recorded_share, NULL::DATE AS date
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cd][oa]*[ai][gl][ey]/**/*.parquet', union_by_name = true, hive_partitioning = false,
                  filename = true)
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW daily_derivatives AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, session, frames, rows, detail, filename)
       REPLACE (TRY_CAST(regexp_extract(filename, 'date=([0-9-]+)/[^/]+$', 1) AS DATE) AS date)
FROM (
SELECT NULL::VARCHAR AS feed, NULL::VARCHAR AS market, NULL::VARCHAR AS code, NULL::DOUBLE AS open,
       NULL::DOUBLE AS high, NULL::DOUBLE AS low, NULL::DOUBLE AS close, NULL::DOUBLE AS official_close,
       NULL::BIGINT AS volume, NULL::DOUBLE AS value, NULL::BIGINT AS records, NULL::TIMESTAMPTZ AS first_ts,
       NULL::TIMESTAMPTZ AS last_ts, NULL::DOUBLE AS recorded_share, NULL::DATE AS date
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cd][oa]*[av][ge][es]/**/*.parquet', union_by_name = true, hive_partitioning = false,
                  filename = true)
)
WHERE code IS NOT NULL;

-- With [seal] bars = "1m". A minute of a recorded session without a row had no trade; a bar that is not `complete` has what was
-- recorded of it. `bars` below needs no such file, and knows both.

CREATE OR REPLACE TEMP VIEW bars_1m AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, session, frames, rows, detail, filename)
       REPLACE (TRY_CAST(regexp_extract(filename, 'date=([0-9-]+)/[^/]+$', 1) AS DATE) AS date)
FROM (
SELECT NULL::VARCHAR AS feed, NULL::VARCHAR AS market, NULL::VARCHAR AS code, NULL::TIMESTAMPTZ AS ts,
       NULL::BIGINT AS open, NULL::BIGINT AS high, NULL::BIGINT AS low, NULL::BIGINT AS close, NULL::BIGINT AS volume,
       NULL::BIGINT AS value, NULL::BIGINT AS records, NULL::BOOLEAN AS complete, NULL::DATE AS date
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cb][oa]*[a_][g1][em]/**/*.parquet', union_by_name = true, hive_partitioning = false,
                  filename = true)
)
WHERE code IS NOT NULL;

-- The time of a day in Korea, whatever the session's zone.
CREATE OR REPLACE TEMP MACRO korean(day, clock) AS
timezone('Asia/Seoul', day::DATE + clock::TIME);

-- The trading days whose regular session is not from 09:00 to 15:30, by the calendar of the recorder's version. With the
-- configuration, `krx-recorder sql` prints those of its calendar.
CREATE OR REPLACE TEMP VIEW special_hours AS
SELECT date::DATE AS date, opens::TIME AS opens, closes::TIME AS closes
FROM (VALUES
    ('2016-11-17', '10:00:00', '16:30:00'), ('2017-01-02', '10:00:00', '15:30:00'), ('2017-11-16', '10:00:00', '16:30:00'),
    ('2017-11-23', '10:00:00', '16:30:00'), ('2018-01-02', '10:00:00', '15:30:00'), ('2018-11-15', '10:00:00', '16:30:00'),
    ('2019-01-02', '10:00:00', '15:30:00'), ('2019-11-14', '10:00:00', '16:30:00'), ('2020-01-02', '10:00:00', '15:30:00'),
    ('2020-12-03', '10:00:00', '16:30:00'), ('2021-01-04', '10:00:00', '15:30:00'), ('2021-11-18', '10:00:00', '16:30:00'),
    ('2022-01-03', '10:00:00', '15:30:00'), ('2022-11-17', '10:00:00', '16:30:00'), ('2023-01-02', '10:00:00', '15:30:00'),
    ('2023-11-16', '10:00:00', '16:30:00'), ('2024-01-02', '10:00:00', '15:30:00'), ('2024-11-14', '10:00:00', '16:30:00'),
    ('2025-01-02', '10:00:00', '15:30:00'), ('2025-11-13', '10:00:00', '16:30:00'), ('2026-01-02', '10:00:00', '15:30:00'),
    ('2026-11-19', '10:00:00', '16:30:00'), ('2027-01-04', '10:00:00', '15:30:00'), ('2027-11-18', '10:00:00', '16:30:00'),
    ('2028-01-03', '10:00:00', '15:30:00'), ('2029-01-02', '10:00:00', '15:30:00'), ('2030-01-02', '10:00:00', '15:30:00'),
    ('2031-01-02', '10:00:00', '15:30:00'), ('2032-01-02', '10:00:00', '15:30:00'), ('2033-01-03', '10:00:00', '15:30:00'),
    ('2034-01-02', '10:00:00', '15:30:00'), ('2035-01-02', '10:00:00', '15:30:00'), ('2036-01-02', '10:00:00', '15:30:00'),
    ('2037-01-02', '10:00:00', '15:30:00'), ('2038-01-04', '10:00:00', '15:30:00'), ('2039-01-03', '10:00:00', '15:30:00'),
    ('2040-01-02', '10:00:00', '15:30:00'), ('2041-01-02', '10:00:00', '15:30:00'), ('2042-01-02', '10:00:00', '15:30:00'),
    ('2043-01-02', '10:00:00', '15:30:00'), ('2044-01-04', '10:00:00', '15:30:00'), ('2045-01-02', '10:00:00', '15:30:00'),
    ('2046-01-02', '10:00:00', '15:30:00'), ('2047-01-02', '10:00:00', '15:30:00'), ('2048-01-02', '10:00:00', '15:30:00'),
    ('2049-01-04', '10:00:00', '15:30:00'), ('2050-01-03', '10:00:00', '15:30:00'), ('2051-01-02', '10:00:00', '15:30:00')
) AS special(date, opens, closes);

-- The hours of each date from `first_day` to `last_day`, or `from_time` and `to_time` instead: those of its `regular` session; of
-- what comes `after` it, from ten minutes after the close to 20:00, before 14 September 2026 to 18:00; or `all`, from the
-- opening to that end.
CREATE OR REPLACE TEMP MACRO hours_of(first_day, last_day, from_time, to_time, session := 'regular') AS TABLE
SELECT date,
       korean(date, coalesce(from_time::TIME, CASE WHEN session = 'after' THEN closes + INTERVAL '10 minutes' ELSE opens END))
           AS hours_begin,
       korean(date, coalesce(to_time::TIME, CASE session
                                            WHEN 'regular' THEN closes
                                            WHEN 'after' THEN evening_ends
                                            WHEN 'all' THEN evening_ends
                                            ELSE error('session is regular, after or all') END)) AS hours_end
FROM (
    SELECT date, coalesce(opens, TIME '09:00') AS opens, coalesce(closes, TIME '15:30') AS closes,
           CASE WHEN date < DATE '2026-09-14' THEN TIME '18:00' ELSE TIME '20:00' END AS evening_ends
    FROM (SELECT unnest(range(first_day::DATE, last_day::DATE + 1, INTERVAL '1 day'))::DATE AS date)
    LEFT JOIN special_hours USING (date)
);

-- The per-issue service. A feed need not have every dataset, so each is read together with coverage, as quarantine is.
-- `krx-recorder sql` prints shorter and faster views where there are files. A view of `recorded_…` has all that was
-- recorded; the one without has each trade or state once, and no snapshots.

CREATE OR REPLACE TEMP VIEW registrations AS
SELECT * EXCLUDE (reason, frames, rows)
FROM (
SELECT NULL::VARCHAR AS preset, NULL::VARCHAR AS code, NULL::TIMESTAMPTZ AS from_ts, NULL::TIMESTAMPTZ AS to_ts,
       NULL::VARCHAR AS state, NULL::INTEGER AS session, NULL::VARCHAR AS detail, NULL::DATE AS date,
       NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cr][oe]*[ao][gn][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW recorded_ticks AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::VARCHAR AS preset, NULL::TIMESTAMPTZ AS trade_ts, NULL::INTEGER AS trade_time,
       NULL::BIGINT AS price, NULL::BIGINT AS volume, NULL::BIGINT AS acc_volume, NULL::BIGINT AS acc_value,
       NULL::BIGINT AS open, NULL::BIGINT AS high, NULL::BIGINT AS low, NULL::BIGINT AS change,
       NULL::VARCHAR AS change_kind, NULL::VARCHAR AS side, NULL::BIGINT AS ask_price, NULL::BIGINT AS bid_price,
       NULL::VARCHAR AS kind, NULL::TIMESTAMPTZ AS recv_ts, NULL::BIGINT AS frame, NULL::SMALLINT AS item,
       NULL::INTEGER AS session, NULL::VARCHAR AS extra, NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[ct][oi]*[ac][gk][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW recorded_quotes AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::BIGINT AS acc_volume, NULL::BIGINT AS ask_price, NULL::BIGINT AS ask_size,
       NULL::BIGINT AS bid_price, NULL::BIGINT AS bid_size, NULL::VARCHAR AS kind, NULL::TIMESTAMPTZ AS recv_ts,
       NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::INTEGER AS session, NULL::VARCHAR AS extra,
       NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cq][ou]*[at][ge][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW recorded_books AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::BIGINT AS acc_volume, NULL::BIGINT AS ask_price_01, NULL::BIGINT AS ask_price_02,
       NULL::BIGINT AS ask_price_03, NULL::BIGINT AS ask_price_04, NULL::BIGINT AS ask_price_05,
       NULL::BIGINT AS ask_price_06, NULL::BIGINT AS ask_price_07, NULL::BIGINT AS ask_price_08,
       NULL::BIGINT AS ask_price_09, NULL::BIGINT AS ask_price_10, NULL::BIGINT AS ask_size_01,
       NULL::BIGINT AS ask_size_02, NULL::BIGINT AS ask_size_03, NULL::BIGINT AS ask_size_04,
       NULL::BIGINT AS ask_size_05, NULL::BIGINT AS ask_size_06, NULL::BIGINT AS ask_size_07,
       NULL::BIGINT AS ask_size_08, NULL::BIGINT AS ask_size_09, NULL::BIGINT AS ask_size_10,
       NULL::BIGINT AS bid_price_01, NULL::BIGINT AS bid_price_02, NULL::BIGINT AS bid_price_03,
       NULL::BIGINT AS bid_price_04, NULL::BIGINT AS bid_price_05, NULL::BIGINT AS bid_price_06,
       NULL::BIGINT AS bid_price_07, NULL::BIGINT AS bid_price_08, NULL::BIGINT AS bid_price_09,
       NULL::BIGINT AS bid_price_10, NULL::BIGINT AS bid_size_01, NULL::BIGINT AS bid_size_02,
       NULL::BIGINT AS bid_size_03, NULL::BIGINT AS bid_size_04, NULL::BIGINT AS bid_size_05,
       NULL::BIGINT AS bid_size_06, NULL::BIGINT AS bid_size_07, NULL::BIGINT AS bid_size_08,
       NULL::BIGINT AS bid_size_09, NULL::BIGINT AS bid_size_10, NULL::BIGINT AS ask_total_size,
       NULL::BIGINT AS bid_total_size, NULL::BIGINT AS after_hours_ask_total_size,
       NULL::BIGINT AS after_hours_bid_total_size, NULL::BIGINT AS expected_price, NULL::BIGINT AS expected_volume,
       NULL::BIGINT AS expected_acc_volume, NULL::VARCHAR AS kind, NULL::TIMESTAMPTZ AS recv_ts,
       NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::INTEGER AS session, NULL::VARCHAR AS extra,
       NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cb]o*[ao][gk][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW recorded_derivative_ticks AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::VARCHAR AS preset, NULL::TIMESTAMPTZ AS trade_ts, NULL::INTEGER AS trade_time,
       NULL::DOUBLE AS price, NULL::BIGINT AS volume, NULL::BIGINT AS acc_volume, NULL::BIGINT AS acc_value,
       NULL::DOUBLE AS open, NULL::DOUBLE AS high, NULL::DOUBLE AS low, NULL::DOUBLE AS change,
       NULL::VARCHAR AS change_kind, NULL::VARCHAR AS side, NULL::DOUBLE AS ask_price, NULL::DOUBLE AS bid_price,
       NULL::BIGINT AS block_acc_volume, NULL::DOUBLE AS upper_limit_price, NULL::DOUBLE AS lower_limit_price,
       NULL::DOUBLE AS near_leg_price, NULL::DOUBLE AS far_leg_price, NULL::VARCHAR AS kind,
       NULL::TIMESTAMPTZ AS recv_ts, NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::INTEGER AS session,
       NULL::VARCHAR AS extra, NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cd][oe]*[ac][gk][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW recorded_derivative_quotes AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::BIGINT AS acc_volume, NULL::DOUBLE AS ask_price, NULL::BIGINT AS ask_size,
       NULL::DOUBLE AS bid_price, NULL::BIGINT AS bid_size, NULL::VARCHAR AS kind, NULL::TIMESTAMPTZ AS recv_ts,
       NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::INTEGER AS session, NULL::VARCHAR AS extra,
       NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cd][oe]*[at][ge][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW recorded_derivative_books AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::DOUBLE AS ask_price_01, NULL::DOUBLE AS ask_price_02,
       NULL::DOUBLE AS ask_price_03, NULL::DOUBLE AS ask_price_04, NULL::DOUBLE AS ask_price_05,
       NULL::BIGINT AS ask_size_01, NULL::BIGINT AS ask_size_02, NULL::BIGINT AS ask_size_03,
       NULL::BIGINT AS ask_size_04, NULL::BIGINT AS ask_size_05, NULL::BIGINT AS ask_orders_01,
       NULL::BIGINT AS ask_orders_02, NULL::BIGINT AS ask_orders_03, NULL::BIGINT AS ask_orders_04,
       NULL::BIGINT AS ask_orders_05, NULL::DOUBLE AS bid_price_01, NULL::DOUBLE AS bid_price_02,
       NULL::DOUBLE AS bid_price_03, NULL::DOUBLE AS bid_price_04, NULL::DOUBLE AS bid_price_05,
       NULL::BIGINT AS bid_size_01, NULL::BIGINT AS bid_size_02, NULL::BIGINT AS bid_size_03,
       NULL::BIGINT AS bid_size_04, NULL::BIGINT AS bid_size_05, NULL::BIGINT AS bid_orders_01,
       NULL::BIGINT AS bid_orders_02, NULL::BIGINT AS bid_orders_03, NULL::BIGINT AS bid_orders_04,
       NULL::BIGINT AS bid_orders_05, NULL::BIGINT AS ask_total_size, NULL::BIGINT AS bid_total_size,
       NULL::BIGINT AS ask_total_orders, NULL::BIGINT AS bid_total_orders, NULL::TIMESTAMPTZ AS order_ts,
       NULL::INTEGER AS order_time, NULL::DOUBLE AS expected_price, NULL::VARCHAR AS kind,
       NULL::TIMESTAMPTZ AS recv_ts, NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::INTEGER AS session,
       NULL::VARCHAR AS extra, NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[cd][oe]*[ao][gk][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW indices AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::TIMESTAMPTZ AS trade_ts, NULL::INTEGER AS trade_time, NULL::DOUBLE AS value,
       NULL::DOUBLE AS change, NULL::VARCHAR AS change_kind, NULL::BIGINT AS acc_volume, NULL::BIGINT AS acc_value,
       NULL::VARCHAR AS kind, NULL::TIMESTAMPTZ AS recv_ts, NULL::BIGINT AS frame, NULL::SMALLINT AS item,
       NULL::INTEGER AS session, NULL::VARCHAR AS extra, NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('[ci][on]*[ac][ge][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

CREATE OR REPLACE TEMP VIEW changes AS
SELECT * EXCLUDE (from_ts, to_ts, state, reason, frames, rows, detail)
FROM (
SELECT NULL::VARCHAR AS code, NULL::VARCHAR AS field, NULL::VARCHAR AS value, NULL::VARCHAR AS kind,
       NULL::TIMESTAMPTZ AS recv_ts, NULL::BIGINT AS frame, NULL::SMALLINT AS item, NULL::INTEGER AS session,
       NULL::VARCHAR AS extra, NULL::DATE AS date, NULL::VARCHAR AS feed
WHERE false
UNION ALL BY NAME
FROM read_parquet('c[oh]*[ag][ge][es]/**/*.parquet', union_by_name = true, hive_partitioning = true,
                  hive_types = {'date': DATE, 'feed': VARCHAR})
)
WHERE code IS NOT NULL;

-- When a preset of an issue was active and its feed was being recorded, each stretch within one session: what was sent of it
-- then is in the files, beginning with the first row at `from_ts` and ending with the last one at `to_ts`.
CREATE OR REPLACE TEMP VIEW active AS
WITH registered AS (
    SELECT date, feed, preset, code, session, min(from_ts) AS from_ts, max(to_ts) AS to_ts
    FROM (
        SELECT *, count(*) FILTER (begins) OVER (PARTITION BY date, feed, preset, code ORDER BY from_ts, to_ts) AS nth
        FROM (
            SELECT *, from_ts IS DISTINCT FROM lag(to_ts) OVER before OR session IS DISTINCT FROM lag(session) OVER before
                      AS begins
            FROM registrations
            WHERE state = 'active'
            WINDOW before AS (PARTITION BY date, feed, preset, code ORDER BY from_ts, to_ts)
        )
    )
    GROUP BY date, feed, preset, code, session, nth
), recorded AS (
    SELECT date, feed, min(from_ts) AS live_from, max(to_ts) AS live_to
    FROM (
        SELECT *, count(*) FILTER (begins) OVER (PARTITION BY date, feed ORDER BY from_ts, to_ts) AS nth
        FROM (
            SELECT *, from_ts IS DISTINCT FROM lag(to_ts) OVER (PARTITION BY date, feed ORDER BY from_ts, to_ts) AS begins
            FROM coverage
            WHERE state = 'live'
        )
    )
    GROUP BY date, feed, nth
)
SELECT date, feed, preset, code, session, greatest(from_ts, live_from) AS from_ts, least(to_ts, live_to) AS to_ts
FROM registered JOIN recorded USING (date, feed)
WHERE live_from < to_ts AND live_to > from_ts;

-- The stretches in which a feed's rows of a pair do not count, since a feed with an earlier name had the same pair.
CREATE OR REPLACE TEMP VIEW superseded AS
SELECT date, later.feed, preset, code, from_ts, to_ts
FROM active JOIN (SELECT DISTINCT date, feed, preset, code FROM active) AS later USING (date, preset, code)
WHERE active.feed < later.feed;

-- The issues of a date whose trades were sent more than once: by `tick` and `tick10`, or by several feeds. Views join with it
-- in a way that passes on a condition on `date` or `code`: semi- and anti-joins do not, and DuckDB 1.1 loses it.
CREATE OR REPLACE TEMP VIEW several_sources AS
SELECT date, code, true AS is_several
FROM (SELECT DISTINCT date, feed, preset, code FROM active WHERE preset IN ('tick', 'tick10'))
GROUP BY date, code
HAVING count(*) > 1;

-- The trades among the rows of a view, without snapshots and each once. Where one came several times, the row is that of
-- `tick10` before `tick`, and of the feed with the earlier name. Rows are the same trade if time, price, volume and
-- accumulated volume are equal (`tick` need not have the last: then without it); of several that are alike in one source, the
-- first is the same as the first of another.
CREATE OR REPLACE TEMP MACRO each_trade_once(view_name) AS TABLE
SELECT row.*
FROM (FROM query_table(view_name)) AS row LEFT JOIN several_sources USING (date, code)
WHERE kind <> 'snapshot' AND is_several IS NULL
UNION ALL
SELECT * EXCLUDE (total, nth)
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY date, code, feed, preset, trade_time, price, volume, total ORDER BY frame, item) AS nth
    FROM (
        SELECT row.*,
               CASE WHEN bool_and(acc_volume IS NOT NULL) OVER (PARTITION BY date, code) THEN acc_volume END AS total
        FROM (FROM query_table(view_name)) AS row JOIN several_sources USING (date, code)
        WHERE kind <> 'snapshot'
    )
)
QUALIFY row_number() OVER (
    PARTITION BY date, code, trade_time, price, volume, total, nth ORDER BY preset = 'tick', feed) = 1;

-- The states among the rows of a view, without snapshots and of one feed at a time.
CREATE OR REPLACE TEMP MACRO of_one_feed(view_name, preset_name) AS TABLE
SELECT row.*
FROM (FROM query_table(view_name)) AS row LEFT JOIN superseded
  ON preset = preset_name AND superseded.date = row.date AND superseded.feed = row.feed AND superseded.code = row.code
 AND row.recv_ts > from_ts AND row.recv_ts <= to_ts
WHERE kind <> 'snapshot' AND superseded.code IS NULL;

CREATE OR REPLACE TEMP VIEW ticks AS FROM each_trade_once('recorded_ticks');
CREATE OR REPLACE TEMP VIEW derivative_ticks AS FROM each_trade_once('recorded_derivative_ticks');
CREATE OR REPLACE TEMP VIEW quotes AS FROM of_one_feed('recorded_quotes', 'quote');
CREATE OR REPLACE TEMP VIEW books AS FROM of_one_feed('recorded_books', 'quote10');
CREATE OR REPLACE TEMP VIEW derivative_quotes AS FROM of_one_feed('recorded_derivative_quotes', 'quote');
CREATE OR REPLACE TEMP VIEW derivative_books AS FROM of_one_feed('recorded_derivative_books', 'quote10');

-- The stretches of each feed that were recorded in the hours of each date from `first_day` to `last_day`. Whatever follows a
-- date's last `to_ts` is not known yet, and not included.
CREATE OR REPLACE TEMP MACRO live_stretches(first_day, last_day, from_time, to_time, session) AS TABLE
SELECT coverage.date, feed, greatest(from_ts, hours_begin) AS begins, least(to_ts, hours_end) AS ends, hours_begin, hours_end
FROM coverage JOIN hours_of(first_day, last_day, from_time, to_time, session := session) AS hours ON hours.date = coverage.date
WHERE coverage.date BETWEEN first_day::DATE AND last_day::DATE AND state = 'live'
  AND from_ts < hours_end AND to_ts > hours_begin;

-- The issues for a market's dates without a trade: those that traded on one of the five dates recorded before. Only for
-- dates for which coverage has more than `idle`, and whose hours were not fully recorded: on any other date without a trade
-- nothing was missed. `code` is NULL where no issue is known yet.
--
-- The date in year 1 is never found. It keeps DuckDB from opening all files where there is nothing to look for.
CREATE OR REPLACE TEMP MACRO issues_without_trades(first_day, last_day, from_time, to_time, session) AS TABLE
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
    FROM live_stretches(first_day, last_day, from_time, to_time, session)
    GROUP BY date, feed
    HAVING sum(epoch_us(ends) - epoch_us(begins)) >= max(epoch_us(hours_end) - epoch_us(hours_begin))
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

-- Bars of each date from `first_day` to `last_day` (without it: of one date): a row for each interval of the date's hours and
-- each issue that traded on the date; or, if no trade was recorded, each issue that traded on the dates before.
--
-- Not recorded to the last microsecond, or not known yet: `complete` is false and the values are NULL. Recorded, and
-- nothing traded: `records` and `volume` are 0 and the prices NULL. Nothing is carried forward.
--
-- `exact` says that a bar is made of `ticks`, which have every trade: that of an issue whose trades were registered and
-- recorded during the whole interval. Any other is made of the conflated full-market feed. An issue that only `ticks` have
-- has no `market`.
--
-- Trades made shortly before a gap may arrive during it: with `delay` an interval is only complete if recording went on
-- for that much longer.
--
-- A condition on `date`, `market` or `code` reaches the files, since all that is read of them goes through `GROUP BY` and
-- `UNION ALL` with these columns, and through no join from one to the other, which would pass on `=` but not `IN`. DuckDB
-- passes a condition on to a CTE that is kept only if all that read from it have one; so `issue` must not be kept. As one
-- number, `frame * 32768 + item` is the order of arrival (`item` is a SMALLINT), and faster than `ORDER BY` of both.
CREATE OR REPLACE TEMP MACRO bars(
    first_day, last_day := NULL, width := INTERVAL '1 minute', from_time := NULL, to_time := NULL,
    delay := INTERVAL '0 seconds', session := 'regular'
) AS TABLE
WITH hours AS (
    SELECT date, epoch_us(hours_begin) AS begins_us, epoch_us(hours_end) AS ends_us, epoch_us(width) AS width_us
    FROM hours_of(first_day, coalesce(last_day::DATE, first_day::DATE), from_time, to_time, session := session)
), slot AS (
    SELECT date, nth, make_timestamptz(begins_us + nth * width_us) AS begins,
           make_timestamptz(least(begins_us + (nth + 1) * width_us, ends_us)) AS ends
    FROM (SELECT *, unnest(range(0, (ends_us - begins_us + width_us - 1) // width_us)) AS nth FROM hours)
), live AS (
    SELECT date, feed AS market, nth,
           sum(epoch_us(least(to_ts, ends + delay)) - epoch_us(greatest(from_ts, begins)))
           >= any_value(epoch_us(ends + delay) - epoch_us(begins)) AS recorded
    FROM slot JOIN coverage USING (date)
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND state = 'live'
      AND from_ts < ends + delay AND to_ts > begins
    GROUP BY date, feed, nth
), registered AS (
    SELECT DISTINCT date, code, nth, true AS exact
    FROM (
        SELECT date, code, nth
        FROM slot JOIN active USING (date)
        WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND preset IN ('tick', 'tick10')
          AND from_ts < ends + delay AND to_ts > begins
        GROUP BY date, code, feed, preset, nth
        HAVING sum(epoch_us(least(to_ts, ends + delay)) - epoch_us(greatest(from_ts, begins)))
               >= any_value(epoch_us(ends + delay) - epoch_us(begins))
    )
), conflated AS (
    SELECT date, market, code,
           CASE WHEN epoch_us(trade_ts) >= begins_us AND epoch_us(trade_ts) < ends_us
                THEN (epoch_us(trade_ts) - begins_us) // width_us END AS nth,
           min_by(price, frame * 32768 + item) AS open, max(price) AS high, min(price) AS low,
           max_by(price, frame * 32768 + item) AS close, sum(volume)::BIGINT AS volume, count(*) AS records
    FROM trades JOIN hours USING (date)
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND kind = 'trade'
    GROUP BY date, market, code, nth
), ticked AS (
    SELECT date, code,
           CASE WHEN epoch_us(trade_ts) >= begins_us AND epoch_us(trade_ts) < ends_us
                THEN (epoch_us(trade_ts) - begins_us) // width_us END AS nth,
           first(price ORDER BY trade_ts, acc_volume, recv_ts, frame, item) AS open, max(price) AS high, min(price) AS low,
           last(price ORDER BY trade_ts, acc_volume, recv_ts, frame, item) AS close, sum(volume)::BIGINT AS volume,
           count(*) AS records
    FROM ticks JOIN hours USING (date)
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND kind = 'trade'
    GROUP BY date, code, nth
), issue AS NOT MATERIALIZED (
    SELECT date, code, unnest(coalesce(list(market) FILTER (has_market), [NULL])) AS market,
           list(bar) FILTER (bar IS NOT NULL) AS exact_bars
    FROM (
        SELECT DISTINCT date, market, code, true AS has_market FROM conflated
        UNION ALL BY NAME
        SELECT date, market, code, true AS has_market
        FROM issues_without_trades(first_day, coalesce(last_day::DATE, first_day::DATE), from_time, to_time, session)
        UNION ALL BY NAME
        SELECT date, code, struct_pack(nth, open, high, low, close, volume, records) AS bar FROM ticked
    )
    GROUP BY date, code
), bar AS (
    SELECT date, market, code, nth, any_value(open) AS open, any_value(high) AS high, any_value(low) AS low,
           any_value(close) AS close, any_value(volume) AS volume, any_value(records) AS records
    FROM (
        SELECT date, market, code, nth FROM issue JOIN slot USING (date)
        UNION ALL BY NAME
        SELECT conflated.*
        FROM conflated LEFT JOIN registered USING (date, code, nth)
        WHERE nth IS NOT NULL AND registered.exact IS NULL
        UNION ALL BY NAME
        SELECT date, market, code, bar.*
        FROM (SELECT date, market, code, unnest(exact_bars) AS bar FROM issue) AS exact_bar
        JOIN registered USING (date, code)
        WHERE registered.nth = bar.nth
    )
    GROUP BY date, market, code, nth
), known AS (
    SELECT bar.*, begins, ends, coalesce(exact, false) AS exact, coalesce(exact, recorded, false) AS complete
    FROM bar JOIN slot USING (date, nth)
    LEFT JOIN live USING (date, market, nth)
    LEFT JOIN registered USING (date, code, nth)
)
SELECT date, market, code, begins AS from_ts, ends AS to_ts,
       CASE WHEN complete THEN open END AS open, CASE WHEN complete THEN high END AS high,
       CASE WHEN complete THEN low END AS low, CASE WHEN complete THEN close END AS close,
       CASE WHEN complete THEN coalesce(volume, 0) END AS volume,
       CASE WHEN complete THEN coalesce(records, 0) END AS records,
       complete, exact
FROM known;

-- How much of each issue's market was recorded in the hours of each date from `first_day` to `last_day`: `gaps` counts the
-- stretches that were not, `missing_s` is their length in seconds, and `share` is what is left, from 0 to 1. `records`,
-- `first_ts` and `last_ts` describe the issue's trades of the whole date. A date that was not fully recorded and has no trade
-- gets the issues of the dates before, with 0 records.
CREATE OR REPLACE TEMP MACRO completeness(
    first_day, last_day := NULL, from_time := NULL, to_time := NULL, session := 'regular'
) AS TABLE
WITH issue AS (
    SELECT date, market, code, count(*) AS records, min(trade_ts) AS first_ts, max(trade_ts) AS last_ts
    FROM trades
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE) AND kind = 'trade'
    GROUP BY date, market, code
    UNION ALL
    SELECT date, market, code, 0, NULL, NULL
    FROM issues_without_trades(first_day, coalesce(last_day::DATE, first_day::DATE), from_time, to_time, session)
), stretch AS (
    SELECT *, begins > lag(ends, 1, hours_begin) OVER (PARTITION BY date, feed ORDER BY begins) AS after_gap
    FROM live_stretches(first_day, coalesce(last_day::DATE, first_day::DATE), from_time, to_time, session)
), recorded AS (
    SELECT date, feed, sum(epoch_us(ends) - epoch_us(begins)) AS recorded_us,
           count(*) FILTER (after_gap) + (max(ends) < max(hours_end))::INTEGER AS gaps
    FROM stretch
    GROUP BY date, feed
), asked AS (
    SELECT date, epoch_us(hours_end) - epoch_us(hours_begin) AS asked_us
    FROM hours_of(first_day, coalesce(last_day::DATE, first_day::DATE), from_time, to_time, session := session)
)
SELECT issue.date, issue.market, code, records, first_ts, last_ts, coalesce(gaps, 1) AS gaps,
       (asked_us - coalesce(recorded_us, 0)) / 1e6 AS missing_s,
       coalesce(recorded_us, 0) / asked_us AS share
FROM issue JOIN asked ON asked.date = issue.date
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

-- What was registered on a day: for each pair of a feed, its last state in a session with what the server said, from when to
-- when it was recorded, for how long, and which share of the day's hours that is: 1 means all along.
CREATE OR REPLACE TEMP MACRO recorded_issues(day, from_time := NULL, to_time := NULL) AS TABLE
WITH hours AS (
    SELECT hours_begin AS begins, hours_end AS ends FROM hours_of(day, day, from_time, to_time)
), stretch AS (
    SELECT feed, preset, code, from_ts, to_ts,
           greatest(epoch_us(least(to_ts, ends)) - epoch_us(greatest(from_ts, begins)), 0) AS within_us
    FROM active, hours
    WHERE date = day::DATE
), pair AS (
    SELECT feed, preset, code, max_by(state, (session IS NOT NULL, from_ts, to_ts)) AS state,
           max_by(coalesce(detail, ''), (session IS NOT NULL, from_ts, to_ts)) AS detail
    FROM registrations
    WHERE date = day::DATE
    GROUP BY feed, preset, code
), summed AS (
    SELECT feed, preset, code, min(from_ts) AS active_from, max(to_ts) AS active_to,
           sum(epoch_us(to_ts) - epoch_us(from_ts)) / 1e6 AS active_s, sum(within_us) AS within_us
    FROM stretch
    GROUP BY feed, preset, code
)
SELECT day::DATE AS date, feed, preset, code, state, detail, active_from, active_to, coalesce(active_s, 0) AS active_s,
       coalesce(within_us, 0) / (epoch_us(ends) - epoch_us(begins)) AS share
FROM pair LEFT JOIN summed USING (feed, preset, code), hours;

-- The best quote of each issue on a day as a sequence of states: each holds from its `recv_ts` to the next one's. It is that
-- of `quote10` where a feed has it on that day, of `quote` elsewhere, and of one feed for the whole day, the first by name. A
-- state without prices and without a `frame` says that from then on nothing is known. Snapshots are states, too.
CREATE OR REPLACE TEMP MACRO quote_states(day) AS TABLE
WITH source AS (
    SELECT DISTINCT code, preset, feed
    FROM active
    WHERE date = day::DATE AND preset IN ('quote10', 'quote')
    QUALIFY rank() OVER (PARTITION BY code ORDER BY preset <> 'quote10', feed) = 1
), stretch AS (
    SELECT code, preset, feed, session, from_ts, to_ts
    FROM active JOIN source USING (code, preset, feed)
    WHERE date = day::DATE
), said AS (
    SELECT 'quote10' AS preset, session, feed, code, kind, recv_ts, frame, item, ask_price_01::DOUBLE AS ask_price,
           ask_size_01 AS ask_size, bid_price_01::DOUBLE AS bid_price, bid_size_01 AS bid_size
    FROM recorded_books
    WHERE date = day::DATE
    UNION ALL
    SELECT 'quote10', session, feed, code, kind, recv_ts, frame, item, ask_price_01, ask_size_01, bid_price_01, bid_size_01
    FROM recorded_derivative_books
    WHERE date = day::DATE
    UNION ALL
    SELECT 'quote', session, feed, code, kind, recv_ts, frame, item, ask_price::DOUBLE, ask_size, bid_price::DOUBLE, bid_size
    FROM recorded_quotes
    WHERE date = day::DATE
    UNION ALL
    SELECT 'quote', session, feed, code, kind, recv_ts, frame, item, ask_price, ask_size, bid_price, bid_size
    FROM recorded_derivative_quotes
    WHERE date = day::DATE
)
SELECT code, feed, recv_ts, frame, item, ask_price, ask_size, bid_price, bid_size
FROM said JOIN stretch USING (code, preset, feed, session)
WHERE recv_ts BETWEEN from_ts AND to_ts AND (kind <> 'snapshot' OR coalesce(ask_price, bid_price) IS NOT NULL)
UNION ALL
SELECT code, feed, to_ts, NULL, NULL, NULL, NULL, NULL, NULL
FROM stretch;

-- The best quotes of a day, of one issue or of all: each with the time within the day's hours in which it held, its
-- spread in KRW (or the unit of a derivative's quotation), and in basis points of the middle. Only where both sides were
-- known; a spread of 0 is a locked book, a negative one a crossed book, as it may be in an auction.
CREATE OR REPLACE TEMP MACRO spread(day, issue := NULL, from_time := NULL, to_time := NULL) AS TABLE
WITH state AS (
    SELECT *, lead(recv_ts) OVER (
        PARTITION BY code ORDER BY recv_ts, coalesce(frame, 1000000000000), item) AS until_ts
    FROM quote_states(day)
    WHERE issue IS NULL OR code = issue
), held AS (
    SELECT state.*, greatest(recv_ts, hours_begin) AS begins, least(until_ts, hours_end) AS ends
    FROM state, hours_of(day, day, from_time, to_time)
    WHERE until_ts IS NOT NULL
)
SELECT day::DATE AS date, code, begins AS from_ts, ends AS to_ts, (epoch_us(ends) - epoch_us(begins)) / 1e6 AS seconds,
       ask_price, ask_size, bid_price, bid_size, ask_price - bid_price AS spread,
       20000 * (ask_price - bid_price) / (ask_price + bid_price) AS spread_bps
FROM held
WHERE ask_price > 0 AND bid_price > 0 AND begins < ends;

-- The shares within the first `levels` levels of each book of a day, of one issue or of all. `imbalance` is from -1, all
-- asked, to 1, all bid.
CREATE OR REPLACE TEMP MACRO depth(day, issue := NULL, levels := 10) AS TABLE
WITH book AS (
    SELECT code, feed, recv_ts, frame, item,
           [ask_size_01, ask_size_02, ask_size_03, ask_size_04, ask_size_05,
            ask_size_06, ask_size_07, ask_size_08, ask_size_09, ask_size_10] AS ask_sizes,
           [bid_size_01, bid_size_02, bid_size_03, bid_size_04, bid_size_05,
            bid_size_06, bid_size_07, bid_size_08, bid_size_09, bid_size_10] AS bid_sizes
    FROM books
    WHERE date = day::DATE AND (issue IS NULL OR code = issue)
    UNION ALL
    SELECT code, feed, recv_ts, frame, item,
           [ask_size_01, ask_size_02, ask_size_03, ask_size_04, ask_size_05],
           [bid_size_01, bid_size_02, bid_size_03, bid_size_04, bid_size_05]
    FROM derivative_books
    WHERE date = day::DATE AND (issue IS NULL OR code = issue)
), summed AS (
    SELECT * EXCLUDE (ask_sizes, bid_sizes), coalesce(list_sum(ask_sizes[1:levels]), 0)::BIGINT AS ask_size,
           coalesce(list_sum(bid_sizes[1:levels]), 0)::BIGINT AS bid_size
    FROM book
)
SELECT day::DATE AS date, *, (bid_size - ask_size) / nullif(bid_size + ask_size, 0) AS imbalance
FROM summed;

-- An issue's book at an instant, a row for each level, with when it was received: the last one before, pushed or as a
-- snapshot, if `quote10` of the issue has been active without interruption since. Without rows it is not known.
CREATE OR REPLACE TEMP MACRO book_at(issue, instant) AS TABLE
WITH known AS (
    SELECT date, feed, session, from_ts
    FROM active
    WHERE preset = 'quote10' AND code = issue AND date = timezone('Asia/Seoul', instant::TIMESTAMPTZ)::DATE
      AND from_ts <= instant::TIMESTAMPTZ AND to_ts >= instant::TIMESTAMPTZ
    ORDER BY feed, from_ts DESC
    LIMIT 1
), stock AS (
    SELECT recorded_books.*
    FROM recorded_books JOIN known USING (date, feed, session)
    WHERE code = issue AND recv_ts >= from_ts AND recv_ts <= instant::TIMESTAMPTZ
      AND (kind <> 'snapshot' OR coalesce(ask_price_01, bid_price_01) IS NOT NULL)
    ORDER BY frame DESC, item DESC
    LIMIT 1
), derivative AS (
    SELECT recorded_derivative_books.*
    FROM recorded_derivative_books JOIN known USING (date, feed, session)
    WHERE code = issue AND recv_ts >= from_ts AND recv_ts <= instant::TIMESTAMPTZ
      AND (kind <> 'snapshot' OR coalesce(ask_price_01, bid_price_01) IS NOT NULL)
    ORDER BY frame DESC, item DESC
    LIMIT 1
)
SELECT unnest(range(1, 11)) AS level,
       unnest([ask_price_01, ask_price_02, ask_price_03, ask_price_04, ask_price_05, ask_price_06, ask_price_07,
               ask_price_08, ask_price_09, ask_price_10])::DOUBLE AS ask_price,
       unnest([ask_size_01, ask_size_02, ask_size_03, ask_size_04, ask_size_05, ask_size_06, ask_size_07,
               ask_size_08, ask_size_09, ask_size_10]) AS ask_size,
       unnest([bid_price_01, bid_price_02, bid_price_03, bid_price_04, bid_price_05, bid_price_06, bid_price_07,
               bid_price_08, bid_price_09, bid_price_10])::DOUBLE AS bid_price,
       unnest([bid_size_01, bid_size_02, bid_size_03, bid_size_04, bid_size_05, bid_size_06, bid_size_07,
               bid_size_08, bid_size_09, bid_size_10]) AS bid_size,
       recv_ts
FROM stock
UNION ALL
SELECT unnest(range(1, 6)),
       unnest([ask_price_01, ask_price_02, ask_price_03, ask_price_04, ask_price_05]),
       unnest([ask_size_01, ask_size_02, ask_size_03, ask_size_04, ask_size_05]),
       unnest([bid_price_01, bid_price_02, bid_price_03, bid_price_04, bid_price_05]),
       unnest([bid_size_01, bid_size_02, bid_size_03, bid_size_04, bid_size_05]),
       recv_ts
FROM derivative;

-- The trades of a day that `ticks` and `derivative_ticks` have, of one issue or of all, each with the best quote before it:
-- NULL where that is not known. Within a feed, before means sent before; between feeds, received before.
CREATE OR REPLACE TEMP MACRO trades_with_quotes(day, issue := NULL) AS TABLE
WITH state AS (
    SELECT *, (epoch_us(recv_ts)::HUGEINT * 1000000000000 + coalesce(frame, 999999999999)) * 100000 + coalesce(item, 0) AS place
    FROM quote_states(day)
    WHERE issue IS NULL OR code = issue
), trade AS (
    SELECT date, feed, code, trade_ts, price::DOUBLE AS price, volume, side, recv_ts, frame, item
    FROM ticks
    WHERE date = day::DATE AND kind = 'trade' AND (issue IS NULL OR code = issue)
    UNION ALL
    SELECT date, feed, code, trade_ts, price, volume, side, recv_ts, frame, item
    FROM derivative_ticks
    WHERE date = day::DATE AND kind = 'trade' AND (issue IS NULL OR code = issue)
), placed AS (
    SELECT trade.*, (epoch_us(trade.recv_ts)::HUGEINT * 1000000000000 + CASE WHEN trade.feed = quoting.feed THEN frame ELSE 0 END)
                    * 100000 + CASE WHEN trade.feed = quoting.feed THEN item ELSE 0 END AS place
    FROM trade LEFT JOIN (SELECT DISTINCT code, feed FROM state) AS quoting ON quoting.code = trade.code
)
SELECT placed.* EXCLUDE (place), state.ask_price, state.ask_size, state.bid_price, state.bid_size,
       CASE WHEN state.frame IS NOT NULL THEN state.recv_ts END AS quote_ts
FROM placed ASOF LEFT JOIN state ON placed.code = state.code AND placed.place >= state.place;

-- How much of what was traded the files have, in shares, for each stock and date of which there is a push: `traded` is the
-- highest accumulated volume that was pushed (a snapshot before the open may have that of yesterday), `ticks` the sum of the volumes in `ticks`, and `trades` that of the
-- full-market feed, of trades and block trades. NULL is not known: no such row was received.
--
-- `trades_share` supposes that `trdVol` is what was traded: trd_vol() tells.
CREATE OR REPLACE TEMP MACRO completeness_in_shares(first_day, last_day := NULL) AS TABLE
WITH known AS (
    SELECT date, code, max(acc_volume) AS traded
    FROM (
        SELECT date, code, kind, acc_volume FROM recorded_ticks
        UNION ALL
        SELECT date, code, kind, acc_volume FROM recorded_quotes
        UNION ALL
        SELECT date, code, kind, acc_volume FROM recorded_books
    )
    WHERE kind <> 'snapshot' AND date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE)
    GROUP BY date, code
), tick AS (
    SELECT date, code, sum(volume)::BIGINT AS ticks
    FROM ticks
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE)
      AND (kind = 'trade' OR starts_with(kind, 'block_'))
    GROUP BY date, code
), conflated AS (
    SELECT date, code, sum(volume)::BIGINT AS trades
    FROM trades
    WHERE date BETWEEN first_day::DATE AND coalesce(last_day::DATE, first_day::DATE)
      AND (kind = 'trade' OR starts_with(kind, 'block_'))
    GROUP BY date, code
)
SELECT date, code, traded, ticks, ticks / nullif(traded, 0) AS ticks_share, trades,
       trades / nullif(traded, 0) AS trades_share
FROM known LEFT JOIN tick USING (date, code) LEFT JOIN conflated USING (date, code);

-- Where the accumulated volume of an issue rose by more than a row of `ticks` says: `missing` shares were traded between
-- `from_ts`, when the row before was received (NULL: since 08:00, when block trades begin, or since midnight if the row is even
-- earlier), and `to_ts`. `known` says whether recording or registration was interrupted meanwhile; if it was not, these trades
-- were not sent, or they are in quarantine. The last hole of an issue may end with a quote or a book.
CREATE OR REPLACE TEMP MACRO volume_holes(day) AS TABLE
WITH row AS (
    SELECT code, recv_ts, frame, item, acc_volume,
           CASE WHEN kind = 'trade' OR starts_with(kind, 'block_') THEN volume ELSE 0 END AS volume
    FROM ticks
    WHERE date = day::DATE AND acc_volume IS NOT NULL
    UNION ALL
    SELECT code, min_by(recv_ts, (-acc_volume, recv_ts)), NULL, NULL, max(acc_volume), 0
    FROM (
        SELECT code, recv_ts, acc_volume FROM quotes WHERE date = day::DATE
        UNION ALL
        SELECT code, recv_ts, acc_volume FROM books WHERE date = day::DATE
    ) SEMI JOIN (FROM ticks WHERE date = day::DATE AND acc_volume IS NOT NULL) USING (code)
    GROUP BY code
), step AS (
    SELECT *, lag(acc_volume, 1, 0) OVER rising AS acc_before, lag(recv_ts) OVER rising AS from_ts
    FROM row
    WINDOW rising AS (PARTITION BY code ORDER BY acc_volume, volume DESC, recv_ts, frame NULLS LAST, item)
)
SELECT day::DATE AS date, code, from_ts, recv_ts AS to_ts, acc_before, acc_volume, acc_volume - acc_before - volume AS missing,
       NOT EXISTS (
           FROM active
           WHERE date = day::DATE AND active.code = step.code AND preset IN ('tick', 'tick10')
             AND active.from_ts <= coalesce(step.from_ts, CASE WHEN step.recv_ts < korean(day, '08:00') THEN korean(day, '00:00')
                                                      ELSE korean(day, '08:00') END)
             AND active.to_ts >= step.recv_ts
       ) AS known
FROM step
WHERE acc_volume - acc_before > volume;

-- What `trdVol` of the full-market feed is, by comparison with the trades of registered stocks on a day: in how many of
-- the records that could be `compared` it is the volume traded since the issue's record before (`since_last`), that of the
-- last trade alone (`last_trade`), or that of the day so far (`cumulative`). `answer` is the one that holds for 95% of
-- them, and for more than any other; NULL if none does, or fewer than a hundred could be compared.
CREATE OR REPLACE TEMP MACRO trd_vol(day) AS TABLE
WITH instant AS (
    SELECT code, trade_time, sum(volume) AS volume, max_by(volume, (recv_ts, frame, item)) AS last_volume,
           max_by(price, (recv_ts, frame, item)) AS price, max(acc_volume) AS acc_volume
    FROM ticks
    WHERE date = day::DATE AND kind = 'trade'
    GROUP BY code, trade_time
), running AS (
    SELECT *, sum(volume) OVER (PARTITION BY code ORDER BY trade_time) AS so_far
    FROM instant
), record AS (
    SELECT code, trade_time, price, volume,
           lag(trade_time) OVER (PARTITION BY market, code ORDER BY frame, item) AS time_before
    FROM trades SEMI JOIN (SELECT DISTINCT code FROM instant) USING (code)
    WHERE date = day::DATE AND kind = 'trade'
), placed AS MATERIALIZED (
    SELECT code, time_before, record.volume, last_volume, acc_volume, so_far
    FROM record JOIN (SELECT * EXCLUDE (volume) FROM running) AS now USING (code, trade_time, price)
), matched AS (
    SELECT placed.volume, last_volume, placed.acc_volume, placed.so_far - before.so_far AS since_last
    FROM placed JOIN (SELECT code, trade_time AS time_before, so_far FROM running) AS before USING (code, time_before)
), counted AS (
    SELECT count(*) AS compared, count(*) FILTER (volume = since_last) AS since_last,
           count(*) FILTER (volume = last_volume) AS last_trade, count(*) FILTER (volume = acc_volume) AS cumulative
    FROM matched
)
SELECT day::DATE AS date, *,
       CASE WHEN compared < 100 OR greatest(since_last, last_trade, cumulative) < 0.95 * compared THEN NULL
            WHEN since_last > greatest(last_trade, cumulative) THEN 'since_last'
            WHEN last_trade > greatest(since_last, cumulative) THEN 'last_trade'
            WHEN cumulative > greatest(since_last, last_trade) THEN 'cumulative' END AS answer
FROM counted;
