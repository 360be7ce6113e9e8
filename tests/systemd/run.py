"""Real systemd as process 1 of a machine of its own installs the package, and runs, breaks and mends the recorder.

    make test-systemd          (root; Debian or Ubuntu; some two minutes)

It prints a line for each fact, and ends with 1 when one does not hold. tests/systemd/machine.py has the machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cron
import exits
import package
import recording
import secret
import starts
from facts import Facts
from machine import Machine
from service import KEY, Service, Simulator

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASE = REPOSITORY / "target/release"
LIMIT_S = 420
GRACE_S = 30


def main() -> int:
    problem = unable()
    if problem:
        print(f"test-systemd: {problem}", file=sys.stderr)
        return 69
    debs = sorted((REPOSITORY / "target/debian").glob("krx-recorder_*.deb"), key=lambda deb: deb.stat().st_mtime)
    deb, cron_debs = debs[-1], cron.download(REPOSITORY / "target/systemd")
    signal.signal(signal.SIGALRM, overdue)
    signal.alarm(LIMIT_S)
    facts = Facts()
    with Machine(REPOSITORY) as machine:
        show(machine, facts, deb, cron_debs)
    print(f"{facts.held} facts hold, {facts.failed} do not")
    return 1 if facts.failed else 0


def show(machine: Machine, facts: Facts, deb: Path, cron_debs: list[Path]) -> None:
    service = Service(machine)
    version = machine.out("systemctl", "--version").splitlines()[0]
    facts.that(f"{version} is process 1 of a machine of its own", machine.out("cat", "/proc/1/comm") == "systemd")
    simulators = {name: Simulator(machine, name, port) for name, port in [("service", 9887), ("cron", 9889), ("other", 9890)]}
    refusing = Simulator(machine, "refusing", 9888, "--refuse", "json")
    with facts.part("the package"):
        package.installs(service, facts, deb)
        package.has_sound_units(service, facts)
        package.says_what_is_missing(service, facts)
    machine.write("/etc/krx-recorder/api-key", KEY + "\n", 0o600)
    for simulator in (*simulators.values(), refusing):
        facts.that(f"{simulator.unit} listens", simulator.listens())
    with facts.part("cron"):
        cron.begins(service, facts, cron_debs, simulators["cron"])
    with facts.part("recording"):
        recording.begins(service, facts, simulators["service"])
        recording.is_confined(service, facts)
    with facts.part("the key"):
        secret.is_nowhere(service, facts)
    with facts.part("what breaks"):
        recording.survives_a_kill(service, facts)
        recording.survives_a_hang(service, facts)
        recording.reloads(service, facts)
    with facts.part("an upgrade"):
        package.upgrades(service, facts, deb)
    with facts.part("the end of it"):
        recording.stops(service, facts)
        simulators["service"].stop()
        recording.has_all(service, facts, simulators["service"], RELEASE / "krx-compare")
    with facts.part("exit codes"):
        exits.decide(service, facts)
        exits.of_the_program(service, facts, refusing)
    with facts.part("the timer"):
        starts.on_a_closed_day(service, facts)
        starts.by_the_timer(service, facts)
    with facts.part("another data directory"):
        starts.in_another_directory(service, facts)
    with facts.part("cron, a minute later"):
        cron.goes_on(service, facts)
        cron.has_all(service, facts, simulators["cron"], RELEASE / "krx-compare")
    with facts.part("removal"):
        package.is_removed(service, facts)
    with facts.part("make install"):
        package.installs_from_source(service, facts)


def unable() -> str:
    """Why this cannot be shown here."""
    if os.geteuid() != 0:
        return "needs root, for the namespaces of the machine"
    tools = ["dpkg", "dpkg-deb", "apt-get", "nsenter", "unshare", "setpriv", "systemd-analyze"]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing or not Path("/lib/systemd/systemd").exists():
        return f"needs Debian or Ubuntu with systemd; missing: {' '.join(missing) or 'systemd'}"
    if not list((REPOSITORY / "target/debian").glob("krx-recorder_*.deb")):
        return "no package in target/debian: run make deb first"
    return ""


def overdue(*_: object) -> None:
    # Once more, for what comes after the part that this ends.
    signal.alarm(GRACE_S)
    raise TimeoutError(f"the test took more than {LIMIT_S} s")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, subprocess.SubprocessError, TimeoutError) as error:
        print(f"test-systemd: {error}", file=sys.stderr)
        sys.exit(1)
