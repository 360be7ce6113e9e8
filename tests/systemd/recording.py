"""The service at work: it begins, is confined, is killed, hangs, reads its configuration again, stops."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

from facts import Facts, wait_until
from service import DATA, STATUS_URL, UNIT, Service, Simulator

# Shorter than the unit's, so that the test need not wait a minute.
WATCHDOG_S = 3

UNSYNCHRONISED = "nothing keeps this machine's clock in step"


def begins(service: Service, facts: Facts, simulator: Simulator) -> None:
    service.drop_in("[Service]\nExecStart=\nExecStart=/bin/sleep 60\nTimeoutStartSec=1\nRestart=no\n")
    service.machine.run("systemctl", "start", UNIT, check=False)
    result = service.show("Result")
    facts.that("a program that does not say READY never becomes active (Type=notify)", result == "timeout", result)
    service.drop_in(None)
    service.systemctl("reset-failed", UNIT)

    service.configure(simulator.port)
    service.systemctl("start", UNIT)
    facts.that("the recorder says READY, and is active", service.is_active(), service.state())
    facts.that("it records both markets", service.wait_for_records(), service.state())
    told = wait_until(lambda: "KOSPI live" in service.show("StatusText"))
    facts.that("systemctl status shows its line", told, service.show("StatusText"))
    line = next((line for line in service.state().splitlines() if "Status: " in line), "")
    print(f"               {line.strip()}")
    journal = service.machine.out("journalctl", "--quiet", "--no-pager", "KRX_FEED=KOSPI", "--output=verbose")
    facts.that("the journal has its fields", f"_SYSTEMD_UNIT={UNIT}" in journal and "PRIORITY=6" in journal, journal[-2000:])


def is_confined(service: Service, facts: Facts) -> None:
    machine, pid = service.machine, service.pid
    status = service.proc(pid, "status")
    uid = machine.out("id", "--user", "krx")
    for fact, line in {
        "the recorder runs as krx": rf"^Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}$",
        "without any capability": r"^CapEff:\s+0{16}$",
        "and cannot get one": r"^NoNewPrivs:\s+1$",
        "its system calls are filtered": r"^Seccomp:\s+2$",
        "its files are for its group, and for nobody else": r"^Umask:\s+0027$",
    }.items():
        facts.that(fact, re.search(line, status, re.MULTILINE), status)
    core = re.search(r"(?m)^Max core file size\s+0\s+0\s", service.proc(pid, "limits"))
    facts.that("it leaves no core dump", core, service.proc(pid, "limits"))
    adjustment = service.proc(pid, "oom_score_adj").strip()
    if may_lower_oom_score(service):
        facts.that("when memory runs out, others are killed first", adjustment == "-900", adjustment)
    else:
        print("               skipped: OOMScoreAdjust=, for which root lacks CAP_SYS_RESOURCE here")
    allocated = [path.stat().st_blocks * 512 for path in machine.path(f"{DATA}/.krx/journal").glob("*/*.journal")]
    facts.that("its journal is allocated in full (fallocate)", allocated and min(allocated) >= 4 << 20, allocated)
    others = machine.run("find", DATA, "-not", "-user", "krx", "-o", "-perm", "/o=rwx").stdout.strip()
    facts.that("nobody else may look into what is recorded", not others, others)
    newest = machine.out("find", f"{DATA}/trades", "-name", "*.parquet", "-newermt", "-1 minute", "-perm", "640", "-group", "krx")
    facts.that("members of the group krx may read it", newest)
    metrics = service.machine.get(f"{STATUS_URL}/metrics")
    memory = re.search(r"(?m)^process_resident_memory_bytes (\S+)$", metrics)
    facts.that("/metrics answers, and knows the process's memory", memory and float(memory.group(1)) > 1e6, metrics[:2000])
    wrong = service.journal("--priority=warning", "--output=cat", f"_PID={pid}")
    # Whether the host's clock is synchronised is none of the unit's doing; that the recorder may ask is.
    wrong = "\n".join(line for line in wrong.splitlines() if not line.startswith(UNSYNCHRONISED))
    facts.that("nothing that it needs is denied: no warning, no error", not wrong, wrong)
    clock = json.loads(service.machine.get(f"{STATUS_URL}/status.json"))["clock"]
    facts.that("it may ask the kernel about the clock", clock["source"] == "kernel", clock)


def may_lower_oom_score(service: Service) -> bool:
    """Whether process 1 of the machine has CAP_SYS_RESOURCE. Without it systemd passes over the setting."""
    capabilities = int(re.search(r"(?m)^CapEff:\s+(\w+)$", service.proc(1, "status")).group(1), 16)
    return bool(capabilities >> 24 & 1)


def survives_a_kill(service: Service, facts: Facts) -> None:
    for _ in range(3):
        before = service.pid
        service.kill("KILL", before)
        facts.that(f"killed with -9 ({before}), it comes back", service.restarted(before), service.state())
        facts.that("and records", service.wait_for_records(), service.state())
    restarts = service.show("NRestarts")
    facts.that("systemd has counted that", restarts == "3", restarts)


def survives_a_hang(service: Service, facts: Facts) -> None:
    # From here on a system call that the unit denies kills the recorder, instead of failing.
    service.drop_in(f"[Service]\nWatchdogSec={WATCHDOG_S}\nSystemCallErrorNumber=\n")
    before = service.pid
    service.systemctl("restart", UNIT)
    facts.that("a restart is a clean one", service.show("Result") == "success" and service.pid != before, service.state())
    facts.that("it records, and makes no system call that is denied", service.wait_for_records(), service.state())
    before, begun = service.pid, service.journal("--show-cursor", "--lines=0").removeprefix("-- cursor: ")
    # Longer than the watchdog waits: it leaves a working recorder alone.
    left_alone = not wait_until(lambda: service.pid != before, WATCHDOG_S + 1)
    facts.that(f"the watchdog ({WATCHDOG_S} s) leaves a recorder alone that works", left_alone, service.state())
    service.kill("STOP", before)
    came_back = service.restarted(before)
    journal = service.journal(f"--after-cursor={begun}", "--output=cat")
    facts.that("a recorder that hangs is killed by it", "Failed with result 'watchdog'" in journal, journal)
    facts.that("and comes back", came_back and service.wait_for_records(), service.state())
    service.drop_in(None)


def reloads(service: Service, facts: Facts) -> None:
    before = service.pid
    service.systemctl("reload", UNIT)
    facts.that("systemctl reload leaves it at work", service.pid == before and service.is_active(), service.state())
    journal = service.journal("--lines=50", "--output=cat")
    facts.that("it has read its configuration again", "calendar, registrations and log filter reloaded" in journal, journal)


def stops(service: Service, facts: Facts) -> None:
    service.systemctl("stop", UNIT)
    result = service.show("Result"), service.show("ExecMainStatus"), service.show("ActiveState")
    facts.that("systemctl stop is clean: success, exit code 0", result == ("success", "0", "inactive"), (result, service.state()))
    committed = "stopped; all that was received is committed" in service.journal("--lines=20", "--output=cat")
    facts.that("all that was received is committed", committed, service.state())


def has_all(service: Service, facts: Facts, simulator: Simulator, compare: Path, data: str = DATA) -> None:
    verified = service.machine.run("krx-recorder", "verify", "--data-dir", data, check=False)
    facts.that("krx-recorder verify finds nothing", verified.returncode == 0, verified.stdout)
    paths = [service.machine.path(path) for path in (simulator.ledger, data)]
    done = subprocess.run([compare, *paths], capture_output=True, text=True, check=False, timeout=60)
    fact = "each record that was sent in a session is there once, up to its end, and each gap is on record"
    facts.that(fact, done.returncode == 0, done.stdout + done.stderr)
    print("               " + done.stdout.strip().replace("\n", "\n               "))
