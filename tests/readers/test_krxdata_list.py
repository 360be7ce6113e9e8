"""`krxdata` on a date on which the list of registered issues was changed while it was recorded."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import issues
import ledger
from conftest import DAY_S_MAX, ISSUE_RATE, ISSUE_RECORDS, keep_clear_of_midnight, schemas, seal_every_date
from processes import READ_S_MAX, Recorder, Simulator, end, wait_until
from test_krxdata import rows_of, truth_of

import krxdata

KEPT, DROPPED, ADDED = "005930", "00088K", "000660"
LOADED = ("ticks", "quotes", "books")
ROWS_MIN = 100


@dataclass
class Changed:
    data: krxdata.Data
    expected: issues.Expected
    asked: list[tuple[str, str, str, int]]
    """Each request that the exchange heard: method, preset, code, and when, in microseconds."""

    date: dt.date


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    """Two stocks are registered, then one of them is replaced with a third while the session goes on."""
    keep_clear_of_midnight()
    folder, date = tmp_path_factory.mktemp("list"), dt.datetime.now(ledger.KST).date()
    listed = folder / "issues.csv"
    listed.write_text(issues.LISTED)
    arguments = ["--issues", str(listed), "--trades-per-day", str(ISSUE_RECORDS), "--seed", "7", "--repeat"]
    arguments += ["--rate", str(ISSUE_RATE // 2), "--per-issue-rate", str(ISSUE_RATE)]
    simulator = Simulator(folder / "ledger.jsonl", arguments)
    try:
        recorder = Recorder(folder, simulator.url, issues.tables((KEPT, DROPPED)))
        try:
            layout = recorder.data_dir / ".krx" / "format"
            wait_until(layout.exists, READ_S_MAX, "there is a data directory", recorder.check_running)
            data = krxdata.open(recorder.data_dir)

            def wait_for_rows(*codes: str) -> None:
                def counts() -> list[int]:
                    queries = (f"SELECT count(*) FROM recorded_{name} WHERE code = '{code}'" for name in LOADED for code in codes)
                    return [data.sql(query).fetchall()[0][0] for query in queries]

                wait_until(lambda: min(counts()) >= ROWS_MIN, DAY_S_MAX, f"there are rows of {codes}", recorder.check_running)

            wait_for_rows(KEPT, DROPPED)
            recorder.reload(issues.tables((KEPT, ADDED)))
            wait_for_rows(ADDED)
            simulator.stop()
            wait_until(lambda: recorder.disconnects() >= 3, READ_S_MAX, "all is read", recorder.check_running)
            recorder.stop()
        finally:
            end(recorder.process)
    finally:
        simulator.stop()
    asked = []
    with simulator.ledger.open(encoding="utf-8") as lines:
        for entry in map(json.loads, lines):
            if entry["kind"] == "request":
                request = json.loads(entry["text"])
                params = request["params"]
                asked.append((request["method"], params["preset"], params["isuSrtCd"], entry["sent_us"]))
    return Changed(data, issues.read(simulator.ledger, date, schemas()), asked, date)


def check_rows(changed: Changed) -> None:
    for name in LOADED:
        options = {"kinds": None} if name == "ticks" else {}
        truth, load = truth_of(changed.expected, name), getattr(changed.data, name)
        names = changed.expected.tables[name].schema.names
        for code in (KEPT, DROPPED, ADDED):
            found = rows_of(load(code, changed.date, **options))
            of_code = [row for row in truth if row["code"] == code]
            assert len(of_code) >= ROWS_MIN
            assert [{column: row[column] for column in names} for row in found] == of_code


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_rows_are_those_of_the_ledger_though_the_list_was_changed(changed: Changed, tmp_path: Path) -> None:
    check_rows(changed)
    seal_every_date(changed.data.data_dir)
    check_rows(changed)


@pytest.mark.filterwarnings("ignore::krxdata.IncompleteWarning")
def test_registrations_begin_and_end_where_the_list_was_changed(changed: Changed) -> None:
    heard = {
        (method, code): min(us for *request, us in changed.asked if request == [method, "tick10", code])
        for method, code in (("subscribe", KEPT), ("subscribe", DROPPED), ("subscribe", ADDED), ("unsubscribe", DROPPED))
    }
    ((ends_us,),) = changed.data.sql("SELECT epoch_us(max(to_ts)) FROM registrations WHERE state = 'active'").fetchall()
    for code in (KEPT, DROPPED, ADDED):
        pair = f"preset = 'tick10' AND code = '{code}'"
        query = f"SELECT epoch_us(min(from_ts)), epoch_us(max(to_ts)) FROM registrations WHERE {pair} AND state = 'active'"
        ((begins_us, until_us),) = changed.data.sql(query).fetchall()
        query = f"SELECT epoch_us(min(recv_ts)) FROM recorded_ticks WHERE {pair} AND kind <> 'snapshot'"
        ((first_us,),) = changed.data.sql(query).fetchall()
        assert heard["subscribe", code] <= begins_us <= first_us
        assert (until_us < ends_us) == (code == DROPPED)
        if code == DROPPED:
            assert abs(until_us - heard["unsubscribe", code]) < heard["unsubscribe", code] - begins_us


def test_how_long_an_issue_was_registered_is_said(changed: Changed) -> None:
    data = changed.data
    # As if the exchange had been open while this was recorded.
    begin, until = data.sql("SELECT min(from_ts), max(to_ts) FROM active WHERE preset IN ('tick', 'tick10')").fetchall()[0]
    clocks = [f"TIME '{each.astimezone(ledger.KST):%H:%M:%S.%f}'" for each in (begin, until)]
    data.connection.execute(
        f"CREATE OR REPLACE TEMP VIEW special_hours AS SELECT DATE '{changed.date}' AS date, {clocks[0]} AS opens, {clocks[1]} AS closes"
    )
    for code in (DROPPED, ADDED):
        rows = data.sql(
            f"SELECT from_ts, to_ts FROM registrations WHERE state = 'active' AND code = '{code}' AND preset IN ('tick', 'tick10')"
        ).fetchall()
        # Of `tick` and `tick10` one is enough.
        registered_s = (max(each for _, each in rows) - min(each for each, _ in rows)).total_seconds()
        missing_s = (until - begin).total_seconds() - registered_s
        assert missing_s > 0, "or this tests nothing"
        with pytest.warns(krxdata.IncompleteWarning) as caught:
            data.ticks(code, changed.date)
        (said,) = [str(warning.message) for warning in caught if code in str(warning.message)]
        assert f"{code} on {changed.date}, for {missing_s:,.0f} s of the hours" in said
