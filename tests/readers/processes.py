"""The recorder and the simulator as child processes. Every wait has a bound, and every child is ended by its own id."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTENING_S_MAX = 30.0
READ_S_MAX = 60.0
STOP_S_MAX = 60.0
POLL_S = 0.1
KEY = "reader-tests"

CONFIG = """\
data_dir = "{data_dir}"

[koscom]
base_url = "{base_url}"
member_name = "Reader tests"

[[feed]]
market = "KOSPI"
path = "/ws_ksp"

[[feed]]
market = "KOSDAQ"
path = "/ws_kdq"

[schedule]
mode = "always"

[rotate]
interval = "{interval}"

[status]
listen = "127.0.0.1:{port}"
"""


def binary(variable: str, name: str) -> Path:
    """The program that an environment variable names, or the one of a release build."""
    path = Path(os.environ.get(variable, ROOT / "target" / "release" / name)).resolve()
    if not path.is_file():
        pytest.fail(f"{path} does not exist: `cargo build --release --workspace` makes it, or {variable} names another")
    return path


def wait_until(
    condition: Callable[[], bool], seconds_max: float, what: str, check: Callable[[], None] = lambda: None
) -> None:
    """Polls until `condition` holds; fails the test when it does not in time, or when `check` does."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        check()
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds_max:.0f} s still waiting until {what}")
        time.sleep(POLL_S)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def bytes_under_way(port: int) -> int:
    """Bytes that a loopback port's connections have been given, and that nobody has read yet."""
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if port in (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)):
            total += sum(int(queue, 16) for queue in queues.split(":"))
    return total


def end(process: subprocess.Popen[Any]) -> None:
    """Ends a child that may still be running, whatever it is doing."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S_MAX)


class Simulator:
    """A simulated exchange on a free loopback port."""

    def __init__(self, ledger: Path, arguments: Sequence[str]) -> None:
        self.ledger = ledger
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.process = subprocess.Popen(
            [
                binary("KRX_SIMULATOR", "krx-simulator"),
                *("--listen", "127.0.0.1:0", "--ledger", str(ledger), "--json", *arguments),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.thread = threading.Thread(target=self._read_events, daemon=True)
        self.thread.start()
        try:
            listening = self.wait_for("listening", 1, LISTENING_S_MAX)[0]
        except BaseException:
            end(self.process)
            raise
        self.url: str = listening["url"]
        self.port: int = listening["port"]

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def wait_for(
        self, event: str, count: int, seconds_max: float, check: Callable[[], None] = lambda: None
    ) -> list[dict[str, Any]]:
        """Waits for this many events of a kind, and skips others. `check` is called every second."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds_max
        while len(found) < count:
            try:
                candidate = self.events.get(timeout=1)
            except queue.Empty:
                check()
                if time.monotonic() > deadline:
                    pytest.fail(f"the simulator did not say {event!r} {count} times in {seconds_max:.0f} s")
                continue
            if candidate is None:
                pytest.fail(f"the simulator ended before it said {event!r}")
            if candidate.get("event") == event:
                found.append(candidate)
        return found

    def wait_for_day(self, feeds: int, seconds_max: float, recorder: Recorder) -> None:
        """Waits until a day of so many feeds was sent, and the recorder has read it to the last byte."""
        self.wait_for("day_complete", feeds, seconds_max, recorder.check_running)
        wait_until(lambda: bytes_under_way(self.port) == 0, READ_S_MAX, "everything sent has been read")

    def stop(self) -> None:
        """Ends it; its ledger is then complete."""
        end(self.process)
        self.thread.join(STOP_S_MAX)


class Recorder:
    """A recorder of both markets, and of the feeds in `more`, that commits every `interval`."""

    def __init__(self, folder: Path, base_url: str, more: str = "", port: int = 0, interval: str = "1s") -> None:
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self.log = folder / "recorder.log"
        config = folder / "krx-recorder.toml"
        self._config = config
        self._settings = CONFIG.format(data_dir=self.data_dir, base_url=base_url, port=port, interval=interval)
        config.write_text(self._settings + more)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [binary("KRX_RECORDER", "krx-recorder"), "run", "--config", config],
                env={**os.environ, "KRX_API_KEY": KEY},
                stdout=log,
                stderr=log,
            )

    def reload(self, more: str) -> None:
        """Replaces the feeds in `more` while it runs."""
        self._config.write_text(self._settings + more)
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Asks it to commit everything and exit; fails the test if it does not, or reports a problem."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the recorder did not end in {STOP_S_MAX:.0f} s of SIGTERM:\n{self.log_end()}")
        assert status == 0, self.log_end()

    def check_running(self) -> None:
        """Fails the test when the recorder has ended by itself."""
        if self.process.poll() is not None:
            pytest.fail(f"the recorder ended with status {self.process.returncode}:\n{self.log_end()}")

    def disconnects(self) -> int:
        """How often a feed's session has ended, by its log."""
        return self.log.read_text(errors="replace").count(" disconnected feed=")

    def log_end(self) -> str:
        """The last lines that it logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


def started(folder: Path) -> subprocess.Popen[bytes]:
    """The recorder of a folder, once more: of the same configuration, and with the same log."""
    with (folder / "recorder.log").open("ab") as log:
        return subprocess.Popen(
            [binary("KRX_RECORDER", "krx-recorder"), "run", "--config", folder / "krx-recorder.toml"],
            env={**os.environ, "KRX_API_KEY": KEY}, stdout=log, stderr=log,
        )  # fmt: skip
