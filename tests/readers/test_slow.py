"""Readers that are held up while their day is sealed: the answer is right, or an error, and never a market less.

strace stops a reader (SIGSTOP) in its Nth call on the partition; then the day is sealed, and the reader goes on. Its
first calls of each kind are tried, one after the other: it opens the directory, reads its names, asks for each file's
size, and opens the files.

DuckDB, pandas and pyarrow pass over a name that is gone when they ask for its size. So when they are given a directory or
a pattern, and are stopped behind opening the partition and before the first size, they answer without it: no file system
can keep names for those who have read them. That is known and in docs/reading-the-data.md; this test fails when it
happens anywhere else. A list of files, made first and then given to the reader, is right or an error for all of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import days
import pytest
import slow_reader
from processes import end
from test_seal import seal

MARKET = "KOSPI"
DATE = "2026-11-19"
CALLS = "openat,getdents64,close,stat,newfstatat,statx"
STEP_S_MAX = 60.0

CALLS_TRIED = int(os.environ.get("KRX_CALLS_TRIED", "2"))
"""Of each kind. Behind four there is only more of the same, the files' sizes and their opening."""

SKIPS_WHAT_IS_GONE = {"duckdb", "pandas", "pyarrow"}
"""Readers that do not complain about a name that is gone when they ask for its size."""


def is_traceable() -> bool:
    """Whether strace is there and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not is_traceable(), reason="no strace, or no right to trace (tests/tools/fault-tools.sh installs it)"
)


@pytest.fixture(scope="module")
def one_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of one day, both markets in a few files each."""
    folder = tmp_path_factory.mktemp("slow")
    made, one = days.make(folder).data_dir, folder / "one"
    for part in (f"trades/date={DATE}", f".krx/checksums/{DATE}.sha256"):
        (one / part).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (made / part).is_dir() else shutil.copy
        copy(made / part, one / part)
    return one


@dataclass
class Answer:
    """A reader's answer, and the calls on the partition that led to it."""

    rows: int | None
    error: str
    calls: list[tuple[str, str]]
    """Name and what it concerned: `dir`, or `file`."""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def signal_all(process: subprocess.Popen[str], number: int) -> None:
    """Sends a signal to what strace runs, if that has not just ended."""
    try:
        for child in children(process.pid):
            os.kill(child, number)
    except (FileNotFoundError, ProcessLookupError):
        pass


def ask(form: str, data_dir: Path, warm: Path, folder: Path, stop: tuple[str, int] | None) -> tuple[Answer, bool]:
    """Reads in its own process; stopped in a call, it continues once the day is sealed. Whether it was stopped."""
    partition = data_dir / "trades" / f"date={DATE}" / f"market={MARKET}"
    log = folder / "calls"
    log.unlink(missing_ok=True)
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}"]
    if stop is not None:
        command += ["-e", f"inject={stop[0]}:signal=STOP:when={stop[1]}"]
    for path in (partition, *sorted(partition.iterdir())):
        command += ["-P", str(path)]
    command += [sys.executable, slow_reader.__file__, form, str(data_dir), str(warm)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    was_stopped, deadline = False, time.monotonic() + STEP_S_MAX
    try:
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{form} does not end, stopped in {stop}"
            if not was_stopped and log.exists() and "stopped by SIGSTOP" in log.read_text():
                # Only this market: files of the other that are gone would be a separate error.
                seal(data_dir, DATE, "--feed", MARKET)
                was_stopped = True
            if was_stopped:
                # Each of its threads may be stopped once.
                signal_all(process, signal.SIGCONT)
            time.sleep(0.01)
    finally:
        signal_all(process, signal.SIGKILL)
        end(process)
    assert process.stdout is not None
    result = json.loads(process.stdout.read())
    calls = []
    for line in log.read_text().splitlines():
        if found := re.match(r"\d+ +(\w+)\(", line):
            calls.append((found[1], "file" if ".parquet" in line else "dir"))
    return Answer(result["rows"], result["error"], calls), was_stopped


@pytest.mark.parametrize("form", slow_reader.FORMS)
def test_a_reader_that_is_held_up_never_answers_with_less(form: str, one_day: Path, tmp_path: Path) -> None:
    undisturbed, _ = ask(form, one_day, one_day, tmp_path, None)
    assert undisturbed.error == "", undisturbed.error
    outcomes: Counter[str] = Counter()
    less = []
    for call in dict.fromkeys(name for name, _ in undisturbed.calls):
        made = sum(name == call for name, _ in undisturbed.calls)
        for number in range(1, min(made, CALLS_TRIED) + 1):
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(one_day, copy)
            answer, was_stopped = ask(form, copy, one_day, tmp_path, (call, number))
            if not was_stopped:
                continue
            if answer.error:
                assert any(words in answer.error for words in slow_reader.GONE), answer.error
                outcomes["error"] += 1
            elif answer.rows == undisturbed.rows:
                outcomes["right"] += 1
            else:
                outcomes["less"] += 1
                less.append((call, number, answer.rows))
    print(f"{form}: {dict(outcomes)} of {undisturbed.rows} rows; less: {less}")
    assert outcomes["error"] > 0, outcomes
    if form in SKIPS_WHAT_IS_GONE:
        assert {call for call, _, _ in less} <= {"openat", "newfstatat", "getdents64", "close"}, less
    else:
        assert less == []
