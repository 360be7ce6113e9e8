"""Debian's real cron runs the cron file of the package, every minute instead of every five."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import recording
from facts import Facts, wait_until
from service import BY_CALENDAR, CONFIG, KEY, Service, Simulator
from starts import KOREA, days

# In the order in which they depend on each other.
PACKAGES = ["cron-daemon-common", "cron"]
DATA = "/var/lib/krx-by-cron"
MAIL = "/var/tmp/mail"
MINUTE_S_MAX = 75


def download(folder: Path) -> list[Path]:
    """Debian's package, unless this machine has it installed."""
    if Path("/usr/sbin/cron").exists():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("cron_*.deb")):
        command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *PACKAGES]
        if subprocess.run(command, cwd=folder, check=False).returncode != 0:
            raise AssertionError("Debian's cron cannot be downloaded: run apt-get update, or install cron")
    return [deb for package in PACKAGES for deb in folder.glob(f"{package}_*.deb")]


def begins(service: Service, facts: Facts, debs: list[Path], simulator: Simulator) -> None:
    machine = service.machine
    for deb in debs:
        machine.path(f"/var/tmp/{deb.name}").write_bytes(deb.read_bytes())
        machine.run("dpkg", "--install", f"/var/tmp/{deb.name}")
    machine.path("/etc/localtime").unlink(missing_ok=True)
    machine.path("/etc/localtime").symlink_to("/usr/share/zoneinfo/UTC")
    machine.path("/etc/timezone").unlink(missing_ok=True)
    machine.write("/usr/sbin/sendmail", f"#!/bin/sh\ncat >>{MAIL}\n", 0o755)
    machine.run("install", "-d", "-m", "750", "-o", "krx", "-g", "krx", DATA, "/var/lib/krx-closed")
    machine.run("install", "-m", "400", "-o", "krx", "/etc/krx-recorder/api-key", "/etc/krx-recorder/api-key-of-krx")
    for name, trading in {"cron": True, "cron-closed": False}.items():
        calendar = f"/etc/krx-recorder/{name}-days.toml"
        machine.write(calendar, days(trading))
        schedule = BY_CALENDAR.format(calendar_file=calendar)
        key = 'api_key_file = "/etc/krx-recorder/api-key-of-krx"'
        config = CONFIG.format(data_dir=DATA, port=simulator.port, koscom=key, schedule=schedule, more="")
        machine.write(f"/etc/krx-recorder/{name}.toml", config)
    machine.write("/etc/krx-recorder/cron-wrong.toml", "no_such_key = 1\n")
    file = machine.path("/usr/share/doc/krx-recorder/examples/cron").read_text()
    for name in ("cron", "cron-closed", "cron-wrong"):
        text = file.replace("*/5 ", "* ").replace("/krx-recorder.toml", f"/{name}.toml")
        if name != "cron":
            # Each of these has a turn while another one records.
            text = text.replace("flock --nonblock --conflict-exit-code 0 /etc/krx-recorder", "").replace("MAILTO=root", f"MAILTO={name}")
        machine.write(f"/etc/cron.d/krx-{name}", text)
    machine.write("/etc/cron.d/krx-zone", zones())
    machine.run("systemctl", "restart", "cron")
    facts.that("Debian's cron runs", machine.out("systemctl", "is-active", "cron") == "active")


def zones() -> str:
    """A crontab that tells by files in which zone its times were read: the next minutes, in UTC and in Korea."""
    now = datetime.now(timezone.utc)
    lines = ["CRON_TZ=Asia/Seoul"]
    for name, zone in {"utc": timezone.utc, "korea": KOREA}.items():
        for minute in (1, 2):
            at = (now + timedelta(minutes=minute)).astimezone(zone)
            lines.append(f"{at.minute} {at.hour} * * *  root  touch /var/tmp/zone-{name}")
    return "\n".join(lines) + "\n"


def goes_on(service: Service, facts: Facts) -> None:
    machine = service.machine
    recorded = wait_until(lambda: list(machine.path(f"{DATA}/trades").rglob("*.parquet")), MINUTE_S_MAX)
    facts.that("cron has started the recorder as krx, and it records", recorded, log(service))
    others = machine.out("find", DATA, "-mindepth", "1", "-not", "-user", "krx", "-o", "-mindepth", "1", "-perm", "/o=rwx")
    facts.that("nobody else may look into what it records", not others, others)
    closed = "the next session opens" in log(service)
    facts.that("on a closed day it says in the syslog when the next session opens", closed, log(service))
    mail = machine.path(MAIL).read_text() if machine.path(MAIL).exists() else ""
    facts.that("cron mails that a recorder has failed", "To: cron-wrong" in mail and "exit code 78" in mail, mail)
    facts.that("and nothing else", "To: root" not in mail and "To: cron-closed" not in mail, mail)

    read_as = [name for name in ("utc", "korea") if machine.path(f"/var/tmp/zone-{name}").exists()]
    facts.that("with CRON_TZ=Asia/Seoul it reads times in the machine's zone all the same", read_as == ["utc"], read_as)

    before = pids(service)
    facts.that("one recorder is at work, however often cron has started one", len(before) == 1, before)
    facts.that("and none was in its way", "locked" not in log(service), log(service))
    for pid in before:
        service.kill("KILL", int(pid))
    back = wait_until(lambda: pids(service), MINUTE_S_MAX)
    facts.that("killed with -9, it is back the next time", back and pids(service) != before, log(service))
    facts.that("and cron mails it", "To: root" in machine.path(MAIL).read_text(), log(service))


def has_all(service: Service, facts: Facts, simulator: Simulator, compare: Path) -> None:
    machine = service.machine
    one = wait_until(lambda: "connected" in log(service).rsplit("recording", 1)[-1])
    facts.that("it records again", one, log(service))
    machine.path("/etc/cron.d/krx-cron").unlink()
    for pid in pids(service):
        service.kill("TERM", int(pid))
    facts.that("SIGTERM ends it", wait_until(lambda: not pids(service)), log(service))
    simulator.stop()
    recording.has_all(service, facts, simulator, compare, DATA)


def pids(service: Service) -> list[str]:
    """Recorders that cron has started."""
    return service.machine.out("pgrep", "--full", "--uid", "krx", "^/usr/bin/krx-recorder run --config /etc/krx-recorder/cron.toml").split()


def log(service: Service) -> str:
    return service.machine.out("journalctl", "--quiet", "--no-pager", "--identifier=krx-recorder", "--output=cat", "_TRANSPORT=syslog")
