"""The newest records, which are in no file yet: from the recorder's status port, or by the program `krx-recorder`."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.ipc

from ._datasets import Dataset
from ._errors import RecorderError
from ._views import of_nothing

ANSWER_S_MAX = 60.0
"""How long the recorder may take to begin an answer."""

ANSWER_ENDS_S = 3500.0
"""An answer that ends sooner did not end because its hour was over."""

WITHOUT = "open the directory without status=: then its journal is read"

FOLLOWED_BATCHES_MAX = 64
"""Batches that are buffered for whoever iterates."""

ASKED_CODES_MAX = 400
"""Codes that a request names."""


class NoRecorderError(RecorderError):
    """Nobody answers."""


def program() -> Path | None:
    """The `krx-recorder` that came with this package, or the one on the path."""
    own = Path(sysconfig.get_path("scripts")) / "krx-recorder"
    found = own if own.is_file() else shutil.which("krx-recorder")
    return Path(found) if found else None


@dataclass(frozen=True)
class Newest:
    """Where the newest records of a data directory come from."""

    data_dir: Path
    status: str | None
    """Address and port of the recorder's status port."""

    config: Path | None
    """The recorder's configuration, which has that, too."""

    def table(self, dataset: Dataset, codes: Sequence[str] | None) -> pa.Table:
        """The records of a dataset that the journal holds beyond the last file, or some of them in files, too."""
        if self.status:
            tables = []
            for feed in self._feeds(dataset):
                with self._open(dataset, feed, codes) as answer:
                    tables.append(_read(answer.response))
            return pa.concat_tables(tables) if tables else _no_rows(dataset)
        if not self._has_journal():
            return _no_rows(dataset)
        command = self._command(dataset, codes)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise RecorderError(f"{command[0]} cannot be run: {error}") from None
        if done.returncode != 0:
            raise _failed(done.stderr)
        return _read(pa.BufferReader(done.stdout)) if done.stdout else _no_rows(dataset)

    def follow(self, dataset: Dataset, codes: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Batches of records as they become durable, until the recorder stops."""
        if self.status:
            yield from self._follow_feeds(dataset, codes)
            return
        command = [*self._command(dataset, codes), "--follow"]
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as process,
        ):
            try:
                yield from _batches(process.stdout, is_explained=True)
                if process.wait() != 0:
                    said.seek(0)
                    raise _failed(said.read())
            finally:
                process.kill()

    def _follow_feeds(self, dataset: Dataset, codes: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Those of all feeds, as they come: the recorder sends one feed at a time."""
        found: queue.Queue[pa.RecordBatch | Exception | None] = queue.Queue(maxsize=FOLLOWED_BATCHES_MAX)
        answers: list[Answer] = []
        is_over = threading.Event()

        def put(item: pa.RecordBatch | Exception | None) -> None:
            while not is_over.is_set():
                try:
                    return found.put(item, timeout=1)
                except queue.Full:
                    continue

        def run(feed: str) -> None:
            try:
                for batch in self._follow_feed(dataset, feed, codes, answers, is_over):
                    put(batch)
                put(None)
            except Exception as error:  # Whatever it is, the iteration raises it.
                put(error)

        feeds = self._feeds(dataset)
        if not feeds:
            raise RecorderError(f"the recorder at {self.status} has no feed with {dataset.name}")
        threads = [threading.Thread(target=run, args=(feed,), daemon=True) for feed in feeds]
        try:
            for thread in threads:
                thread.start()
            left = len(feeds)
            while left:
                try:
                    # With a limit, so that it can be interrupted.
                    item = found.get(timeout=1)
                except queue.Empty:
                    continue
                if isinstance(item, Exception):
                    raise item
                if item is None:
                    left -= 1
                else:
                    yield item
        finally:
            is_over.set()
            for answer in list(answers):
                answer.close()
            for thread in threads:
                thread.join(ANSWER_S_MAX)

    def _follow_feed(
        self, dataset: Dataset, feed: str, codes: Sequence[str] | None, answers: list[Answer], is_over: threading.Event
    ) -> Iterator[pa.RecordBatch]:
        """A recorder ends an answer after an hour; the next one begins after the last frame."""
        after: dict[str, str] = {}
        while not is_over.is_set():
            begun = time.monotonic()
            try:
                answer = self._open(dataset, feed, codes, follow="true", **after)
            except NoRecorderError:
                if after:
                    # It ended the last answer properly, and is gone: it was stopped.
                    return
                raise
            answers.append(answer)
            answer.wait_for_ever()
            if is_over.is_set():
                answer.close()
                return
            if frames := answer.response.headers.get("krx-frames"):
                date, _, last = frames.rpartition(",")[2].partition(":")
                after = {"after": f"{date}:{last.rpartition('-')[2]}"}
            for batch in _batches(answer.response, is_explained=False):
                after = {"after": f"{batch['date'][-1].as_py()}:{batch['frame'][-1].as_py()}"}
                yield batch
            answers.remove(answer)
            answer.close()
            if time.monotonic() - begun < ANSWER_ENDS_S:
                return

    def _has_journal(self) -> bool:
        internal = self.data_dir / ".krx"
        if not internal.is_dir():
            raise RecorderError(f"{self.data_dir} has files only, and no journal: there is nothing newer than its files")
        try:
            feeds = list((internal / "journal").iterdir())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RecorderError(
                f"you may not read the journal, where the newest records are: {error}; name the recorder's status port in status="
            ) from None
        return any(True for feed in feeds for _ in feed.glob("*.journal"))

    def _command(self, dataset: Dataset, codes: Sequence[str] | None) -> list[str]:
        found = program()
        if found is None:
            raise RecorderError(
                "the newest records are in the recorder's journal: name its status port, as in "
                'krxdata.open(…, status="localhost:9464"), or install krx-recorder here'
            )
        command = [str(found), "tail", "--dataset", dataset.name, "--format", "arrow", "--data-dir", str(self.data_dir)]
        if self.config:
            command += ["--config", str(self.config)]
        if codes is not None:
            command += ["--code", ",".join(codes)]
        return command

    def _feeds(self, dataset: Dataset) -> list[str]:
        """The feeds that have a dataset."""
        service = "full_market" if dataset.partition_key == "market" else "per_issue"
        self._check_directory()
        (feeds,) = self._json("/status.json", "feeds")
        return [feed["feed"] for feed in feeds if feed["service"] == service]

    def _check_directory(self) -> None:
        """Whether the recorder records here: rows of another one must not be among those of the files."""
        directory, feeds = self._json("/synced.json", "data_dir", "feeds")
        if Path(directory) in (self.data_dir, self.data_dir.resolve()):
            return
        # On another machine the directory may have another path; but it has the segments that are being written.
        segments = [(feed["feed"], feed["synced"][0]) for feed in feeds if feed["synced"]]
        host = str(self.status).removeprefix("http://").rpartition(":")[0]
        is_here = host in ("localhost", "[::1]") or host.startswith("127.")
        journals = self.data_dir / ".krx" / "journal"
        if is_here or not segments or not all((journals / feed / name).exists() for feed, name in segments):
            raise RecorderError(
                f"the recorder at {self.status} records in {directory}, and not in {self.data_dir}: name the one that does"
            )

    def _open(self, dataset: Dataset, feed: str, codes: Sequence[str] | None, **more: str) -> Answer:
        query = {"feed": feed, **more}
        # The recorder takes requests of 8 KiB; of more issues it sends all, and whoever asked chooses.
        if codes is not None and len(codes) <= ASKED_CODES_MAX:
            query["code"] = ",".join(codes)
        return self._get(f"/tail/{dataset.name}.arrows?{urllib.parse.urlencode(query)}")

    def _get(self, path: str) -> Answer:
        address = str(self.status).removeprefix("http://").rstrip("/")
        try:
            connection = http.client.HTTPConnection(address, timeout=ANSWER_S_MAX)
            try:
                connection.request("GET", path)
                answer = Answer(connection)
            except BaseException:
                connection.close()
                raise
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoRecorderError(
                f"no recorder answers at {address}: {error}. Is that the address of its status.listen? If it has ended, {WITHOUT}"
            ) from None
        if answer.response.status != http.client.OK:
            with answer, contextlib.suppress(OSError, http.client.HTTPException):
                words = answer.response.read(1000).decode("utf-8", "replace").strip()
                raise RecorderError(f"the recorder at {address} does not send {path.partition('?')[0]}: {words}")
            raise RecorderError(f"the recorder at {address} does not send {path.partition('?')[0]}")
        return answer

    def _json(self, path: str, *keys: str) -> list[Any]:
        try:
            with self._get(path) as answer:
                told = json.load(answer.response)
                return [told[key] for key in keys]
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            raise RecorderError(f"what answers at {self.status} is no krx-recorder: it has no {path}") from None


class Answer:
    """An answer of the status port, to be read."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        # The connection forgets its socket once the answer has begun.
        self._socket = connection.sock
        self.response = connection.getresponse()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_for_ever(self) -> None:
        """Lets the recorder take its time from now on: nothing may be traded for hours."""
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def close(self) -> None:
        """Ends it, also for another thread that waits for more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.response.close()


def _failed(said: bytes) -> RecorderError:
    text = said.decode("utf-8", "replace").strip().removeprefix("krx-recorder: ")
    return RecorderError(
        f"{text or 'krx-recorder tail failed without a message'}\n"
        '(In Python, status="HOST:PORT" of krxdata.open stands for --listen, and config="FILE" for --config.)'
    )


def _batches(stream: Any, is_explained: bool) -> Iterator[pa.RecordBatch]:
    """With `is_explained`, whoever began the stream says why it ended before its schema."""
    has_begun = False
    try:
        with pa.ipc.open_stream(stream) as reader:
            has_begun = True
            for batch in reader:
                if batch.num_rows:
                    yield batch
    except (pa.ArrowInvalid, OSError, http.client.HTTPException) as error:
        if has_begun or not is_explained:
            raise RecorderError(f"the recorder broke off what it was sending: {error}; if it has ended, {WITHOUT}") from None


def _read(stream: Any) -> pa.Table:
    try:
        with pa.ipc.open_stream(stream) as reader:
            return reader.read_all()
    except (pa.ArrowInvalid, OSError, http.client.HTTPException) as error:
        raise RecorderError(f"the newest records broke off before their end: {error}; ask again") from None


def _no_rows(dataset: Dataset) -> pa.Table:
    with duckdb.connect() as connection:
        rows: pa.Table = connection.sql(of_nothing(dataset)).to_arrow_table()
        return rows
