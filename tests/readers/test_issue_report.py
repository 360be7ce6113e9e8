"""What `krx-recorder report` says of the per-issue service is what the views of `krx.sql` say, which are held against plain
Python in `test_issue_views`: two implementations that share nothing but the definition."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fields
from conftest import IssueRecording, seal_every_date
from processes import binary
from test_issue_views import GAPS, made_days
from test_report import read
from test_views import DAY, connect

PRESETS = {"ONE": "tick,quote10", "TWO": "tick10,quote10,quote"}
GAPS_OF_FEEDS = (f"{DAY},ONE,10:00:30,10:20:00", f"{DAY},TWO,10:10:00,10:40:00", f"{DAY},TWO,15:00:00,15:01:00")
EDGES_BPS = (1, 2, 5, 10, 20, 50, 100, 200)
AUCTION = dt.timedelta(minutes=10)


@dataclass
class Reported:
    """A data directory, and the report on one of its dates."""

    data_dir: Path
    day: str
    figures: dict[str, Any]

    def hours(self) -> tuple[dt.datetime, dt.datetime]:
        """KRX's regular hours on that date."""
        exchange = self.figures["exchange"]
        return dt.datetime.fromisoformat(exchange["regular_from"]), dt.datetime.fromisoformat(exchange["regular_to"])


def reported(data_dir: Path, day: str, *options: str) -> Reported:
    command = [binary("KRX_RECORDER", "krx-recorder"), "report", day, "--data-dir", str(data_dir), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return Reported(data_dir, day, json.loads(done.stdout))


def spoil(path: Path) -> None:
    """Locks and crosses some books of a file, and takes a side from others."""
    table = read(path)
    frame = table.to_pandas(integer_object_nulls=True)
    rows = np.arange(len(frame))
    locked, crossed, one_sided = rows[5::40], rows[7::60], rows[11::70]
    frame.loc[locked, "ask_price_01"] = frame.loc[locked, "bid_price_01"]
    frame.loc[crossed, "ask_price_01"] = frame.loc[crossed, "bid_price_01"] - 100
    frame.loc[one_sided, "bid_price_01"] = None
    spoilt = pa.Table.from_pandas(frame, schema=table.schema.remove_metadata(), preserve_index=False)
    pq.write_table(spoilt.replace_schema_metadata(table.schema.metadata), path, compression="zstd")


def lose(path: Path) -> None:
    """Makes signals of some trades of a file: what they say was traded is in no tick."""
    table = read(path)
    frame = table.to_pandas(integer_object_nulls=True)
    frame["kind"] = frame["kind"].astype(str)
    frame.loc[np.arange(len(frame))[3::50], ["kind", "trade_ts"]] = ["regular_close", pd.NaT]
    lost = pa.Table.from_pandas(frame, schema=table.schema.remove_metadata(), preserve_index=False)
    pq.write_table(lost.replace_schema_metadata(table.schema.metadata), path, compression="zstd")


def rewritten(path: Path, frame: pd.DataFrame, table: pa.Table) -> None:
    changed = pa.Table.from_pandas(frame, schema=table.schema.remove_metadata(), preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path, compression="zstd")


def know_more(path: Path) -> None:
    """The last book of each issue in a file knows of a trade that no other row has: of it the other feed has the same pair."""
    table = read(path)
    frame = table.to_pandas(integer_object_nulls=True)
    last = frame.groupby("code", observed=True).tail(1).index
    frame.loc[last, "acc_volume"] += 1000
    rewritten(path, frame, table)


def fall_silent(path: Path) -> None:
    """What is left of a file is of one issue: the others have another's rows."""
    table = read(path)
    if "code" in table.column_names and table.num_rows:
        frame = table.to_pandas(integer_object_nulls=True)
        frame.loc[frame["code"].astype(str) < "3", "code"] = "999999"
        rewritten(path, frame, table)


@pytest.fixture(scope="module", params=["one feed", "two feeds", "two feeds, sealed", "a real recording"])
def report(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, issue_recording: IssueRecording
) -> Reported:
    """A date of both services: odd in one feed; in two feeds with presets and gaps of their own; as a recorder left it."""
    folder = tmp_path_factory.mktemp("issue_report")
    if request.param == "a real recording":
        data_dir = shutil.copytree(issue_recording.data_dirs["recorded"], folder / "data")
        (day,) = {path.name.removeprefix("date=") for path in data_dir.glob("books/date=*")}
        # Whenever this runs, KRX is open.
        calendar, config = folder / "calendar.toml", folder / "krx-recorder.toml"
        calendar.write_text(f'[[day]]\ndate = "{day}"\ntrading = true\nopen = "00:00"\nclose = "23:59"\n')
        config.write_text(f'data_dir = "{data_dir}"\n[schedule]\ncalendar_file = "{calendar}"\n[[feed]]\nname = "KOSPI"\n')
        return reported(data_dir, day, "--config", str(config))
    options = ["--records-last", "60000", "--seed", "12"]
    if request.param == "one feed":
        gaps = [word for gap in GAPS for word in ("--gap", gap)]
        made_days(folder, *options, *gaps)
        made_days(folder, *options, *gaps, "--pushes", "tick10,quote10")
        for path in folder.glob(f"books/date={DAY}/*/*.parquet"):
            spoil(path)
        for path in folder.glob(f"ticks/date={DAY}/*/*.parquet"):
            lose(path)
    else:
        gaps = [word for gap in GAPS_OF_FEEDS for word in ("--gap", gap)]
        made_days(folder, *options)
        for feed, presets in PRESETS.items():
            made_days(folder, *options, *gaps, "--pushes", presets, "--feed", feed)
        # What is not as it was committed is not sealed.
        for path in folder.glob(f"books/date={DAY}/feed=TWO/*.parquet") if request.param == "two feeds" else []:
            know_more(path)
        for path in folder.glob(f"*/date={DAY}/feed=TWO/*-{DAY:%Y%m%d}T1[345]*.parquet") if request.param == "two feeds" else []:
            fall_silent(path)
    if request.param.endswith("sealed"):
        seal_every_date(folder)
    return reported(folder, str(DAY))


@pytest.fixture(scope="module")
def views(report: Reported) -> duckdb.DuckDBPyConnection:
    return connect(report.data_dir)


def moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def close(value: Any) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)


def test_spreads_and_locked_and_crossed_books(report: Reported, views: duckdb.DuckDBPyConnection) -> None:
    begin, end = report.hours()[0], moment(report.figures["exchange"]["continuous_to"])
    times = f"from_time := TIME '{begin:%H:%M:%S}', to_time := TIME '{end:%H:%M:%S}'"
    views.execute(f"CREATE OR REPLACE TEMP TABLE held AS FROM spread('{report.day}', {times})")
    expected = views.execute(
        "SELECT code, count(*), sum(seconds), sum(spread * seconds) / sum(seconds), sum(spread_bps * seconds) / sum(seconds), "
        "count(*) FILTER (spread = 0), coalesce(sum(seconds) FILTER (spread = 0), 0), "
        "count(*) FILTER (spread < 0), coalesce(sum(seconds) FILTER (spread < 0), 0) FROM held GROUP BY code ORDER BY code"
    ).fetchall()
    names = (
        "code", "quotes", "seconds", "spread_mean", "spread_bps_mean", "locked", "locked_seconds", "crossed", "crossed_seconds",
    )  # fmt: skip
    quotes = report.figures["quotes"]
    found = [tuple(issue[name] for name in names) for issue in quotes["issues"] if issue["quotes"] > 0]
    assert found == [(code, *(close(value) for value in rest)) for code, *rest in expected]
    seconds = [0.0] * (len(EDGES_BPS) + 3)
    for spread, bps, held in views.execute("SELECT spread, spread_bps, seconds FROM held").fetchall():
        place = 0 if spread < 0 else 1 if spread == 0 else 2 + sum(edge < bps for edge in EDGES_BPS)
        seconds[place] += held
    assert quotes["seconds_by_spread"] == [close(value) for value in seconds]
    longest = views.execute(
        "SELECT code, from_ts, seconds, ask_price, bid_price FROM held WHERE spread < 0 ORDER BY seconds DESC, from_ts, code LIMIT 10"
    ).fetchall()
    crossed = [
        (of["code"], moment(of["from_ts"]), of["seconds"], of["ask_price"], of["bid_price"]) for of in quotes["crossed"]
    ]
    assert crossed == longest
    sources = dict(views.execute(f"SELECT DISTINCT code, feed FROM quote_states('{report.day}')").fetchall())
    assert {issue["code"]: issue["feed"] for issue in quotes["issues"]} == sources


def test_what_was_registered(report: Reported, views: duckdb.DuckDBPyConnection) -> None:
    begin, end = report.hours()
    until = min(end, moment(report.figures["made_at"]) or end)
    expected = views.execute(
        "SELECT feed, preset, code, state, nullif(detail, ''), active_from, active_to, active_s, share "
        f"FROM recorded_issues('{report.day}', '{begin:%H:%M:%S}', '{end:%H:%M:%S}') ORDER BY feed, preset, code"
    ).fetchall()
    found = []
    for feed in report.figures["feeds"]:
        assert feed["registrations"]["known"]
        pairs = feed["registrations"]["pairs"]
        assert feed["registrations"]["wanted"] == len(pairs)
        for pair in sorted(pairs, key=lambda pair: (pair["preset"], pair["code"])):
            active = moment(pair["active_from"]), moment(pair["active_to"])
            # The report has the share of the hours that are over.
            share = None if pair["share"] is None else close(pair["share"] * (until - begin) / (end - begin))
            found.append(
                (feed["feed"], pair["preset"], pair["code"], pair["state"], pair["detail"], *active, pair["active_seconds"], share)
            )
    if until > begin:
        assert found == [(*rest, close(active_s), close(share)) for *rest, active_s, share in expected]
    else:
        assert [row[:-1] for row in found] == [(*rest, close(active_s)) for *rest, active_s, _ in expected]
    assert found


def test_what_came_of_each_preset(report: Reported, views: duckdb.DuckDBPyConnection) -> None:
    rows = " UNION ALL ".join(
        f"SELECT feed, {preset} AS preset, code, kind, recv_ts FROM {view} WHERE date = '{report.day}'"
        for view, preset in (
            ("recorded_ticks", "preset"), ("recorded_derivative_ticks", "preset"), ("recorded_quotes", "'quote'"),
            ("recorded_derivative_quotes", "'quote'"), ("recorded_books", "'quote10'"),
            ("recorded_derivative_books", "'quote10'"), ("indices", "'index'"), ("changes", "'change'"),
        )
    )  # fmt: skip
    views.execute(f"CREATE OR REPLACE TEMP TABLE pushed AS {rows}")
    minutes: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 1440)
    query = (
        "SELECT feed, preset, epoch_us(timezone('Asia/Seoul', recv_ts)) // 60000000 % 1440 AS minute, count(*) "
        "FROM pushed GROUP BY ALL"
    )
    for feed, preset, minute, count in views.execute(query).fetchall():
        minutes[feed, preset][minute] = count
    snapshots = dict(
        ((feed, preset), count)
        for feed, preset, count in views.execute(
            "SELECT feed, preset, count(*) FILTER (kind = 'snapshot') FROM pushed GROUP BY ALL"
        ).fetchall()
    )
    found = {}
    for feed in report.figures["feeds"]:
        assert feed["records"] == sum(of["records"] for of in feed["presets"])
        assert feed["rows_not_committed"] == 0
        for of in feed["presets"]:
            if of["records"]:
                found[feed["feed"], of["preset"]] = of["records_by_minute"]
            assert of["snapshots"] == snapshots.get((feed["feed"], of["preset"]), 0)
            assert of["records"] == sum(of["records_by_minute"])
            assert of["busiest_minute_records"] == max(of["records_by_minute"])
        records = {(pair["preset"], pair["code"]): pair["records"] for pair in feed["registrations"]["pairs"]}
        counts = views.execute(f"SELECT preset, code, count(*) FROM pushed WHERE feed = '{feed['feed']}' GROUP BY ALL")
        assert {pair: count for pair, count in records.items() if count} == {
            (preset, code): count for preset, code, count in counts.fetchall() if (preset, code) in records
        }
    assert found == dict(minutes)


def test_pauses_and_active_registrations(report: Reported, views: duckdb.DuckDBPyConnection) -> None:
    """By plain Python, over the rows of each registration and the stretches in which it was active."""
    begin, end = report.hours()[0], moment(report.figures["exchange"]["continuous_to"])
    assert end == report.hours()[1] - AUCTION
    end = min(end, moment(report.figures["made_at"]) or end)
    test_what_came_of_each_preset(report, views)
    received: dict[tuple[str, str, str], list[dt.datetime]] = defaultdict(list)
    query = "SELECT feed, preset, code, recv_ts FROM pushed WHERE kind <> 'snapshot' ORDER BY recv_ts"
    for feed, preset, code, at in views.execute(query).fetchall():
        received[feed, preset, code].append(at)
    active: dict[tuple[str, str, str], list[tuple[dt.datetime, dt.datetime]]] = defaultdict(list)
    query = f"SELECT feed, preset, code, from_ts, to_ts FROM active WHERE date = '{report.day}' ORDER BY from_ts"
    for feed, preset, code, since, until in views.execute(query).fetchall():
        active[feed, preset, code].append((since, until))
    midnight = dt.datetime.fromisoformat(f"{report.day}T00:00:00+09:00")
    paused, whole_end = 0, end
    for feed in report.figures["feeds"]:
        by_minute = [0] * 1440
        end = min(whole_end, moment(feed["registrations"]["known_to"]) or whole_end)
        for pair in feed["registrations"]["pairs"]:
            key = feed["feed"], pair["preset"], pair["code"]
            longest, ended, last = dt.timedelta(), dt.timedelta(), None
            for since, until in active[key]:
                for minute in range(1440):
                    by_minute[minute] += since <= midnight + dt.timedelta(minutes=minute) < until
                edges = [since, *(at for at in received[key] if since <= at <= until), until]
                clipped = [min(max(edge, begin), end) for edge in edges]
                pauses = [two - one for one, two in zip(clipped, clipped[1:])]
                longest, ended = max(longest, *pauses), max(ended, *pauses[:-1], dt.timedelta())
                last = max([last or begin, *(edge for edge in edges[1:-1] if edge <= end)]) if len(edges) > 2 or last else last
            found = pair["longest_pause"]
            paused += found is not None
            assert (0 if found is None else found["seconds"]) == close(longest.total_seconds() if end > begin else 0), key
            # Since the last row, or since it was active at first: as long as it was active then.
            within = [(max(since, begin), min(until, end)) for since, until in active[key] if since < end and until > begin]
            since = max(last, begin) if last else within[0][0] if within else end
            silent = sum((max(two - max(one, since), dt.timedelta()) for one, two in within), dt.timedelta())
            is_silent = silent >= max(dt.timedelta(minutes=10), 3 * ended) and pair["preset"] != "change"
            assert (pair["silent"] is not None) == is_silent, (key, silent, ended)
            if is_silent:
                assert (moment(pair["silent"]["from_ts"]), pair["silent"]["seconds"]) == (since, close(silent.total_seconds())), key
        assert feed["registrations"]["active_by_minute"] == by_minute
    assert paused or end <= begin or report.figures["exchange"]["trading"] is False


def test_completeness_in_shares(report: Reported, views: duckdb.DuckDBPyConnection) -> None:
    expected = views.execute(
        "SELECT code, traded, ticks, ticks_share, trades, trades_share "
        f"FROM completeness_in_shares('{report.day}') ORDER BY code"
    ).fetchall()
    shares = report.figures["shares"]
    names = ("code", "traded", "ticks", "ticks_share", "trades", "trades_share")
    assert [tuple(issue[name] for name in names) for issue in shares["issues"]] == [
        (*numbers, close(ticks_share), trades, close(trades_share))
        for *numbers, ticks_share, trades, trades_share in expected
    ]
    for column in ("ticks", "trades"):
        (share,) = views.execute(
            f"SELECT sum({column}) / sum(traded) FROM completeness_in_shares('{report.day}') "
            f"WHERE {column} IS NOT NULL AND traded IS NOT NULL"
        ).fetchone()
        assert shares[f"{column}_share"] == close(share)
    views.execute(f"CREATE OR REPLACE TEMP TABLE hole AS FROM volume_holes('{report.day}')")
    holes = {
        code: rest
        for code, *rest in views.execute(
            "SELECT code, count(*), sum(missing)::BIGINT, coalesce(sum(missing) FILTER (NOT known), 0)::BIGINT FROM hole GROUP BY code"
        ).fetchall()
    }
    names = ("holes", "missing", "missing_unexplained")
    found = {issue["code"]: [issue[name] for name in names] for issue in shares["issues"] if issue["holes"]}
    assert found == holes
    largest = views.execute(
        "SELECT code, from_ts, to_ts, missing FROM hole WHERE NOT known ORDER BY missing DESC, to_ts, code LIMIT 10"
    ).fetchall()
    assert [
        (hole["code"], moment(hole["from_ts"]), moment(hole["to_ts"]), hole["missing"]) for hole in shares["unexplained"]
    ] == largest


def test_what_trd_vol_is(report: Reported, views: duckdb.DuckDBPyConnection) -> None:
    _, *expected = views.execute(f"FROM trd_vol('{report.day}')").fetchone()
    found = report.figures["trd_vol"]
    assert [found[name] for name in ("compared", "since_last", "last_trade", "cumulative", "answer")] == expected


def test_the_days_are_worth_comparing(report: Reported) -> None:
    """Whatever the definitions tell apart is there, or the tests above would prove little."""
    figures = report.figures
    names = [feed["feed"] for feed in figures["feeds"]]
    if names == ["ISSUES"] and figures["date"] == str(DAY):
        quotes = figures["quotes"]
        assert all(seconds > 0 for seconds in quotes["seconds_by_spread"][:5]) and len(quotes["crossed"]) == 10
        assert len(figures["shares"]["unexplained"]) == 10 and figures["trd_vol"]["answer"] == "since_last"
        assert any("these trades were not sent" in worry["words"] for worry in figures["verdict"]["worries"])
    elif names == ["ONE", "TWO"]:
        # One feed's gap is the other's time: nothing but what both lacked is missing.
        ticks = [issue["ticks_share"] for issue in figures["shares"]["issues"]]
        assert min(ticks) < 1 and max(ticks) > 0.9
        assert {issue["feed"] for issue in figures["quotes"]["issues"]} == {"ONE"}
        silent = [pair["silent"] for pair in figures["feeds"][1]["registrations"]["pairs"]]
        sealed = len(list(report.data_dir.glob(f"books/date={DAY}/feed=TWO/*.parquet"))) == 1
        assert None in silent and any(silent) != sealed
        told = any("fell silent" in worry["words"] for worry in figures["verdict"]["worries"])
        assert told != sealed
    else:
        presets = {of["preset"] for of in figures["feeds"][0]["presets"]}
        assert presets == {"tick", "tick10", "quote", "quote10", "index", "change"}
        states = [pair["state"] for pair in figures["feeds"][0]["registrations"]["pairs"]]
        assert states.count("refused") == 1 and "active" in states
        assert any("1 registration was refused: tick10:999999" in worry["words"] for worry in figures["verdict"]["worries"])
        assert figures["feeds"][0]["quarantined"] > 0


def test_a_directory_with_nothing_else_has_a_report_too(issue_recording: IssueRecording, tmp_path: Path) -> None:
    data_dir = shutil.copytree(issue_recording.data_dirs["sealed"], tmp_path / "data")
    shutil.rmtree(data_dir / ".krx")
    for path in (data_dir / "trades", *data_dir.glob("*/date=*/feed=KOS*")):
        shutil.rmtree(path)
    (day,) = {path.name.removeprefix("date=") for path in data_dir.glob("books/date=*")}
    figures = reported(data_dir, day).figures
    assert figures["markets"] == [] and [feed["feed"] for feed in figures["feeds"]] == ["ISSUES"]
    assert figures["feeds"][0]["records"] == sum(
        issue_recording.expected.tables[dataset].num_rows for dataset in fields.DATASETS
    )
    # There is nothing that could be compared.
    assert figures["trd_vol"]["compared"] == 0 and figures["trd_vol"]["answer"] is None
    command = [binary("KRX_RECORDER", "krx-recorder"), "report", day, "--data-dir", str(data_dir), "--output", "-"]
    page = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert 'id="registrations"' in page and 'id="shares"' in page and 'id="volume"' not in page
    # A registrations file that is gone leaves what came, and says so.
    shutil.rmtree(data_dir / "registrations")
    figures = reported(data_dir, day).figures
    assert not figures["feeds"][0]["registrations"]["known"] and figures["quotes"]["issues"] == []
    assert any("nothing says what was registered" in worry["words"] for worry in figures["verdict"]["worries"])
    page = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Not known: nothing says when quotes were registered." in page and 'id="oddities"' not in page
