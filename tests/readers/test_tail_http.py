"""Tails over HTTP: every dataset in both formats beside a running recorder, following to its end, and what is refused."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pytest

import fields
import issues
import readers
from conftest import keep_clear_of_midnight
from processes import Recorder, Simulator, end, free_port, started, wait_until
from test_tail import by_place, text

DATASETS = ("trades", "quarantine", *fields.DATASETS)
RATE = 3000
TAILS_MAX = 4


class Answer:
    """What the port said."""

    def __init__(self, port: int, file: str, query: str) -> None:
        url = f"http://127.0.0.1:{port}/tail/{file}?{query}"
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                self.code, self.body, self.headers = response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                self.code, self.body, self.headers = error.code, error.read(), error.headers

    def table(self) -> pa.Table:
        assert self.code == 200, self.body
        return pa.ipc.open_stream(self.body).read_all()


def says(table: pa.Table) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def feed_of(dataset: str) -> str:
    return issues.FEED if dataset in fields.DATASETS else "KOSPI"


class Recorded:
    """What a recorder said of its tails while it ran, and the files that it left."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.tails: dict[str, list[pa.Table]] = {dataset: [] for dataset in DATASETS}
        self.lines: dict[str, tuple[dict[str, str], list[dict[str, Any]]]] = {}
        self.of_codes: list[pa.Table] = []
        self.bodies: list[bytes] = []
        self.followed: list[pa.Table] = []
        self.refused: list[tuple[int, str]] = []
        self.fifth: list[int] = []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    keep_clear_of_midnight()
    folder = tmp_path_factory.mktemp("tail-http")
    listed = folder / "issues.csv"
    listed.write_text(issues.LISTED)
    arguments = ["--issues", str(listed), "--trades-per-day", "200000", "--seed", "5", "--repeat"]
    arguments += ["--rate", str(RATE // 2), "--per-issue-rate", str(RATE), "--fault", "garbage@every:40:badrecord"]
    simulator = Simulator(folder / "ledger.jsonl", arguments)
    port = free_port()
    try:
        recorder = Recorder(folder, simulator.url, "\n" + issues.tables(), port=port)
        found = Recorded(recorder.data_dir)
        try:
            wait_until(
                lambda: all(list(found.data_dir.glob(f"{dataset}/date=*/*/*.parquet")) for dataset in DATASETS),
                120, "each dataset has a file", recorder.check_running,
            )  # fmt: skip
            ask(port, found)
            url = f"http://127.0.0.1:{port}/tail/trades.arrows?feed=KOSPI&follow=true"
            follower = urllib.request.urlopen(url, timeout=120)
            following = threading.Thread(target=lambda: found.bodies.append(follower.read()))
            following.start()
            held = [open_tail(port) for _ in range(TAILS_MAX - 1)]
            try:
                wait_until(lambda: Answer(port, "trades.arrows", "feed=KOSPI").code == 503, 30, "there is no place")
                fifth = Answer(port, "trades.arrows", "feed=KOSPI")
                found.fifth += [fifth.code, int(fifth.headers["Retry-After"])]
            finally:
                for one in held:
                    one.close()
            wait_until(lambda: Answer(port, "trades.arrows", "feed=KOSPI").code == 200, 30, "there is one again")
            found.fifth.append(200)
        finally:
            recorder.stop()
        following.join(60)
        follower.close()
        found.followed = [pa.ipc.open_stream(body).read_all() for body in found.bodies]
    finally:
        simulator.stop()
    yield found


def open_tail(port: int, path: str = "trades.ndjson?feed=KOSDAQ&follow=true", more: bytes = b"") -> socket.socket:
    """A client that follows, and reads nothing; `more` is what it sends after its request."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET /tail/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() + more)
    return client


def ask(port: int, found: Recorded) -> None:
    """Each dataset several times, so that it is read before, while and after a file is committed."""
    for _ in range(5):
        for dataset in DATASETS:
            feed = feed_of(dataset)
            found.tails[dataset].append(Answer(port, f"{dataset}.arrows", f"feed={feed}").table())
    for dataset in DATASETS:
        answer = Answer(port, f"{dataset}.ndjson", f"feed={feed_of(dataset)}")
        assert answer.code == 200 and answer.headers["Content-Type"] == "application/x-ndjson"
        head = {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("krx-")}
        found.lines[dataset] = head, [json.loads(line) for line in answer.body.splitlines()]
    # From the first frame on, or what the journal still has of it.
    found.of_codes.append(Answer(port, "trades.arrows", "feed=KOSPI&after=0&code=005930,00088K&code=999999").table())
    queries = ("", "feed=NASDAQ", "feed=KOSPI&after=x", "feed=KOSPI&after=2026-99-99:1", "feed=KOSPI&limit=3", "feed=ISSUES",
        "feed=KOSPI&code=", "feed=KOSPI&after=18446744073709551615", "feed=KOSPI&after=999999999")  # fmt: skip
    for query in queries:
        refused = Answer(port, "trades.arrows", query)
        found.refused.append((refused.code, refused.body.decode()))
    for file, query in (("trade.arrows", "feed=KOSPI"), ("trades.csv", "feed=KOSPI"), ("quarantine.arrows", "feed=KOSPI&code=005930")):
        refused = Answer(port, file, query)
        found.refused.append((refused.code, refused.body.decode()))


def in_files(found: Recorded, dataset: str, first: int, last: int) -> list[dict[str, Any]]:
    key = readers.key(dataset)
    with readers.duckdb_connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Seoul'")
        relation = readers.duckdb_relation(found.data_dir, dataset)
        table = connection.sql(
            f"SELECT * FROM {relation} WHERE {key} = '{feed_of(dataset)}' AND frame BETWEEN {first} AND {last} "
            f"ORDER BY frame, item NULLS FIRST"
        ).to_arrow_table()
    return table.to_pylist()


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_tail_has_the_frames_that_it_names_and_the_rows_that_files_get(dataset: str, recorded: Recorded) -> None:
    for table in recorded.tails[dataset]:
        said = says(table)
        first, last = int(said["krx.first_frame"]), int(said["krx.last_frame"])
        assert by_place(table.to_pylist(), dataset) == by_place(in_files(recorded, dataset, first, last), dataset)
        assert said["krx.state"] == "live" and said["krx.feed"] == feed_of(dataset) and said["krx.dataset"] == dataset
        assert "krx.damaged" not in said
        if first <= last:
            assert said["krx.frames"] == f"{said['krx.date']}:{first}-{last}" and int(said["krx.last_recv"]) > 0
        else:
            assert said["krx.frames"] == "" and first == last + 1
    frames = [int(says(table)["krx.last_frame"]) for table in recorded.tails[dataset]]
    assert frames == sorted(frames) and frames[0] < frames[-1]


@pytest.mark.parametrize("dataset", DATASETS)
def test_lines_of_json_have_the_same_and_name_the_frames_in_headers(dataset: str, recorded: Recorded) -> None:
    head, lines = recorded.lines[dataset]
    expected = in_files(recorded, dataset, int(head["krx-first-frame"]), int(head["krx-last-frame"]))
    printed = [{name: text(value) for name, value in row.items()} for row in expected]
    for row in lines:
        for name in ("trade_ts", "order_ts"):
            if row.get(name):
                row[name] = row[name].replace("+09:00", "000+09:00")
    assert by_place(lines, dataset) == by_place(printed, dataset)
    assert head["krx-state"] == "live" and head["krx-feed"] == feed_of(dataset)


def test_some_issues_only(recorded: Recorded) -> None:
    [table] = recorded.of_codes
    said = says(table)
    rows = in_files(recorded, "trades", int(said["krx.first_frame"]), int(said["krx.last_frame"]))
    expected = [row for row in rows if row["code"] in ("005930", "00088K")]
    assert len(expected) < len(rows)
    assert by_place(table.to_pylist(), "trades") == by_place(expected, "trades")


def test_one_that_follows_goes_on_to_the_last_record(recorded: Recorded) -> None:
    [table] = recorded.followed
    said = says(table)
    assert said["krx.follow"] == "true"
    first = int(said["krx.first_frame"])
    expected = in_files(recorded, "trades", first, 1 << 60)
    assert len(expected) > 100
    assert by_place(table.to_pylist(), "trades") == by_place(expected, "trades")
    assert max(row["frame"] for row in expected) > int(said["krx.last_frame"])


def test_what_is_not_understood_is_said(recorded: Recorded) -> None:
    codes = [code for code, _ in recorded.refused]
    assert codes == [400, 404, 400, 400, 400, 404, 400, 400, 409, 404, 404, 400], recorded.refused
    words = [words for _, words in recorded.refused]
    assert words[0] == "Say which feed of trades with feed=…: KOSPI, KOSDAQ.\n"
    assert words[1] == "No feed NASDAQ has trades here; there are KOSPI, KOSDAQ.\n"
    assert "after=x is not understood" in words[2] and "limit=3 is not understood" in words[4]
    assert "code= names no issue" in words[6] and "and not frame 999999999; if that is of another date" in words[8]
    assert "there are trades, " in words[9] and "books" in words[9]
    assert recorded.fifth == [503, 1, 200]


SLOW = """
[journal]
segment_bytes = 4194304
"""


def test_a_slow_client_gets_all_that_was_named_or_sees_that_it_did_not(tmp_path: Path) -> None:
    """It pauses while what it is being sent is committed and removed from the journal."""
    keep_clear_of_midnight()
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--rate", "40000", "--repeat"])
    port = free_port()
    outcomes: dict[tuple[str, bool], int] = {}
    try:
        recorder = Recorder(tmp_path, simulator.url, SLOW, port=port, interval="6s")
        try:
            wait_until(lambda: frames(port) > 0, 60, "there are frames", recorder.check_running)
            until = time.monotonic() + 240
            for file, pause_s in itertools.cycle(itertools.product(("trades.arrows", "trades.ndjson"), (7, 0, 5))):
                if len(outcomes) == 4 or time.monotonic() > until:
                    break
                broken = paused(port, file, pause_s)
                outcomes[file, broken] = outcomes.get((file, broken), 0) + 1
                recorder.check_running()
        finally:
            recorder.stop()
    finally:
        simulator.stop()
    print(outcomes)
    assert {broken for _, broken in outcomes} == {False, True}, outcomes


def paused(port: int, file: str, pause_s: float) -> bool:
    """Reads the head of an answer, pauses, and reads on; returns whether the answer was broken off. Whole ones have each frame
    that their head names."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.request("GET", f"/tail/{file}?feed=KOSPI")
        answer = client.getresponse()
        assert answer.status == 200
        head = {name.lower(): value for name, value in answer.getheaders()}
        time.sleep(pause_s)
        try:
            body = answer.read()
        except (http.client.HTTPException, OSError):
            return True
    finally:
        client.close()
    if file.endswith(".arrows"):
        found = pa.ipc.open_stream(body).read_all()["frame"].to_pylist()
    else:
        found = [json.loads(line)["frame"] for line in body.splitlines()]
    first, last = int(head["krx-first-frame"]), int(head["krx-last-frame"])
    # Heartbeats have no rows.
    assert set(found) <= set(range(first, last + 1))
    assert len(set(found)) >= (last + 1 - first) * 0.9
    return False


def test_a_tail_after_an_old_frame_begins_where_the_journal_does(tmp_path: Path) -> None:
    keep_clear_of_midnight()
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--rate", "20000", "--repeat"])
    port = free_port()
    try:
        recorder = Recorder(tmp_path, simulator.url, SLOW, port=port)
        try:
            def numbers() -> list[int]:
                return [int(path.name.split("-")[0]) for path in recorder.data_dir.glob(".krx/journal/KOSPI/0*.journal")]

            wait_until(lambda: min(numbers(), default=0) > 1, 120, "the first segment is removed", recorder.check_running)
            for dataset in ("trades", "quarantine"):
                # More may be removed between the head and the rows: then it is broken off, and asked for again.
                table = until_whole(port, f"{dataset}.arrows", "feed=KOSPI&after=1")
                first, last = (int(says(table)[key]) for key in ("krx.first_frame", "krx.last_frame"))
                assert first > 2 and last >= first
                assert set(table["frame"].to_pylist()) <= set(range(first, last + 1))
                in_files = [int(path.stem.split("-")[-1]) for path in recorder.data_dir.glob("trades/*/market=KOSPI/*.parquet")]
                assert max(in_files) >= first - 1, "what it does not have is in files"
        finally:
            recorder.stop()
    finally:
        simulator.stop()
    # Another recorder goes on in a journal without a frame of the date: all are in files, and the head says so.
    again = started(tmp_path)
    try:
        wait_until(lambda: answers(port), 60, "it answers")
        said = says(until_whole(port, "trades.arrows", "feed=KOSPI&after=1"))
        ends = [int(path.stem.split("-")[-1]) for path in recorder.data_dir.glob("trades/*/market=KOSPI/*.parquet")]
        assert int(said["krx.last_frame"]) == max(ends) == int(said["krx.first_frame"]) - 1 and said["krx.frames"] == ""
    finally:
        end(again)


def until_whole(port: int, file: str, query: str) -> pa.Table:
    for _ in range(100):
        try:
            return Answer(port, file, query).table()
        except (http.client.HTTPException, OSError, pa.ArrowInvalid):
            continue
    pytest.fail("no answer was whole")


def test_a_place_is_free_soon_after_its_client_has_gone(tmp_path: Path) -> None:
    """Also if it sent more than its request, and if nothing that it wants ever comes."""
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--rate", "500", "--repeat"])
    port = free_port()
    try:
        recorder = Recorder(tmp_path, simulator.url, port=port)
        try:
            wait_until(lambda: frames(port) > 0, 60, "there are frames", recorder.check_running)
            for more in (b"", b"x", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
                path = "trades.ndjson?feed=KOSDAQ&code=NONE&follow=true"
                clients = [open_tail(port, path, more) for _ in range(TAILS_MAX)]
                wait_until(lambda: Answer(port, "trades.arrows", "feed=KOSPI").code == 503, 30, "there is no place")
                for client in clients:
                    client.close()
                wait_until(lambda: Answer(port, "trades.arrows", "feed=KOSPI").code == 200, 30, f"there is one after {more!r}")
        finally:
            recorder.stop()
    finally:
        simulator.stop()


def test_a_client_that_reads_nothing_loses_its_place_and_costs_no_record(tmp_path: Path) -> None:
    keep_clear_of_midnight()
    simulator = Simulator(tmp_path / "ledger.jsonl", ["--rate", "20000", "--repeat"])
    port = free_port()
    try:
        recorder = Recorder(tmp_path, simulator.url, port=port)
        try:
            wait_until(lambda: frames(port) > 0, 60, "there are frames", recorder.check_running)
            clients = [open_tail(port) for _ in range(TAILS_MAX)]
            wait_until(lambda: Answer(port, "trades.arrows", "feed=KOSPI").code == 503, 30, "there is no place")
            before = frames(port)
            # Each has been sent what fits between the two, and then nothing is taken for half a minute.
            wait_until(lambda: Answer(port, "trades.arrows", "feed=KOSPI").code == 200, 300, "there is one", recorder.check_running)
            assert frames(port) > before
            # Nor do connections stay whose last piece nobody takes.
            wait_until(lambda: connections(port) == 0, 120, "they are closed", recorder.check_running)
            for client in clients:
                client.close()
        finally:
            recorder.stop()
    finally:
        simulator.stop()


def connections(port: int) -> int:
    """How many connections to a status port are open on the recorder's side."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[1].split(":")[1], 16) == port and line[3] == "01" for line in lines)


def answers(port: int) -> bool:
    try:
        return Answer(port, "trades.arrows", "feed=KOSPI").code == 200
    except urllib.error.URLError:
        return False


def frames(port: int) -> int:
    """How many frames the recorder has journaled; 0 as long as it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status.json", timeout=30) as answer:
            return sum(feed["frames_journaled"] for feed in json.load(answer)["feeds"])
    except urllib.error.URLError:
        return 0
