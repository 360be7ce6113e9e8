"""What systemd makes of each exit code, and that the program ends with them."""

from __future__ import annotations

import time

from facts import Facts, wait_until
from service import UNIT, Service, Simulator

FINAL = [64, 65, 69, 77, 78]
PASSING = [70, 74, 75]


def decide(service: Service, facts: Facts) -> None:
    for code in (*FINAL, *PASSING):
        service.drop_in(f"[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit {code}'\nRestartSec=60\n")
        service.machine.run("systemctl", "start", UNIT, check=False)
        wanted = "failed" if code in FINAL else "auto-restart"
        found = service.show("SubState")
        words = "a person is needed: not started again" if code in FINAL else "may pass: started again"
        facts.that(f"exit code {code}: {words}", found == wanted, service.state())
        service.systemctl("stop", UNIT)
        service.machine.run("systemctl", "reset-failed", UNIT, check=False)
    service.drop_in(None)


def of_the_program(service: Service, facts: Facts, refusing: Simulator) -> None:
    machine = service.machine
    service.configure(9887)
    service.arguments("--no-such-flag")
    fails(service, facts, 64, "an unknown argument", "--no-such-flag")
    service.arguments("")
    service.configure(9887, schedule='mode = "allways"')
    fails(service, facts, 78, "a wrong configuration", "schedule.mode")
    service.configure(refusing.port)
    fails(service, facts, 77, "a key that is refused", "refuses the API key")

    service.configure(9890)
    holder = ["systemd-run", "--quiet", "--unit=krx-holder", "--uid=krx", "flock", "/var/lib/krx-recorder/.krx/lock", "sleep", "60"]
    machine.run(*holder)
    machine.run("systemctl", "start", "--no-block", UNIT)
    tried = wait_until(lambda: service.show("SubState") == "auto-restart" and service.show("ExecMainStatus") == "75")
    facts.that("75, while another process holds the data directory: it is tried again", tried, service.state())
    machine.run("systemctl", "stop", "krx-holder")
    facts.that("and records as soon as it can", service.wait_for_records(), service.state())
    service.systemctl("stop", UNIT)


def fails(service: Service, facts: Facts, code: int, why: str, words: str) -> None:
    """The real program, started with the real unit, ends with this code and is left so."""
    service.machine.run("systemctl", "start", UNIT, check=False)
    ended = wait_until(lambda: service.show("ActiveState") == "failed")
    # RestartSec is 2 s: after that it would have been started again.
    time.sleep(2.5)
    left, found = service.show("ActiveState") == "failed", service.show("ExecMainStatus")
    facts.that(f"{code}, {why}: not started again", ended and left and found == str(code), service.state())
    facts.that("systemctl status says why", words in service.state(), service.state())
    service.systemctl("reset-failed", UNIT)
