"""The Debian package: what it installs, what it leaves alone, and what it says."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

from facts import Facts
from machine import Machine
from service import DATA, KEY, UNIT, Service

REPOSITORY = Path(__file__).resolve().parents[2]

# What the unit leaves open, by `systemd-analyze security`.
EXPOSURE_MAX = 1.4


def installs(service: Service, facts: Facts, deb: Path) -> None:
    machine = service.machine
    done = machine.run("dpkg", "--install", inside(machine, deb), check=False)
    facts.that("the package installs with dpkg -i", done.returncode == 0, done.stdout)
    facts.that("it says what to do next", "api-key" in done.stdout and "systemctl enable" in done.stdout, done.stdout)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "--extract", deb, folder], check=True)
        same = digest(Path(folder) / "usr/bin/krx-recorder") == digest(machine.path("/usr/bin/krx-recorder"))
    facts.that("/usr/bin/krx-recorder is the package's", same)
    for unit in (UNIT, "krx-recorder.timer"):
        enabled, active = (machine.out("systemctl", verb, unit) for verb in ("is-enabled", "is-active"))
        facts.that(f"{unit} is neither enabled nor started", (enabled, active) == ("disabled", "inactive"), (enabled, active))
    for path, wanted in {
        "/etc/krx-recorder": "750 root krx",
        "/etc/krx-recorder/krx-recorder.toml": "640 root krx",
        DATA: "750 krx krx",
    }.items():
        found = machine.out("stat", "--format", "%a %U %G", path)
        facts.that(f"{path} is {wanted}", found == wanted, found)


def has_sound_units(service: Service, facts: Facts) -> None:
    machine = service.machine
    units = [f"/usr/lib/systemd/system/{unit}" for unit in (UNIT, "krx-recorder.timer")]
    done = machine.run("systemd-analyze", "verify", "--man=no", *units, check=False)
    facts.that("systemd-analyze verify finds nothing", (done.returncode, done.stdout) == (0, ""), done.stdout)
    figure = machine.out("systemd-analyze", "security", "--no-pager", UNIT).splitlines()[-1]
    found = re.search(r"exposure level for \S+: ([0-9.]+)", figure)
    exposure = float(found.group(1)) if found else 10.0
    facts.that(f"its exposure is {exposure}, and at most {EXPOSURE_MAX}", exposure <= EXPOSURE_MAX, figure)


def says_what_is_missing(service: Service, facts: Facts) -> None:
    done = service.machine.run("systemctl", "start", UNIT, check=False)
    status, journal = service.show("ExecMainStatus"), service.journal()
    told = done.returncode != 0 and status == "78" and "the systemd credential api-key" in journal
    facts.that("started without a key it ends with 78, and says so", told, service.state())
    facts.that("and is not started again", service.show("ActiveState") == "failed", service.state())


def upgrades(service: Service, facts: Facts, deb: Path) -> None:
    machine = service.machine
    machine.run("systemctl", "enable", "--quiet", UNIT)
    config = machine.path("/etc/krx-recorder/krx-recorder.toml").read_text()
    before = service.pid
    done = machine.run("dpkg", "--install", inside(machine, deb, version="0.1.0-2"), check=False)
    version = machine.out("dpkg-query", "--show", "--showformat=${Version}", "krx-recorder")
    facts.that("a newer package installs while it records", done.returncode == 0 and version == "0.1.0-2", done.stdout)
    facts.that("the recorder was started anew by it", service.restarted(before), service.state())
    facts.that("after a clean stop", "stopped; all that was received is committed" in service.journal(), service.state())
    same = machine.path("/etc/krx-recorder/krx-recorder.toml").read_text() == config
    facts.that("the configuration is as it was", same)
    facts.that("it is enabled still", machine.out("systemctl", "is-enabled", UNIT) == "enabled")
    facts.that("it records", service.wait_for_records(), service.state())


def is_removed(service: Service, facts: Facts) -> None:
    machine = service.machine
    service.configure(9890)
    service.systemctl("start", UNIT)
    facts.that("it records once more", service.wait_for_records(), service.state())
    done = machine.run("dpkg", "--remove", "krx-recorder", check=False)
    gone = done.returncode == 0 and not machine.path("/usr/bin/krx-recorder").exists()
    facts.that("dpkg --remove stops and removes it", gone and service.pid == 0, done.stdout)
    clean = "stopped; all that was received is committed" in service.journal("--lines=20")
    facts.that("after a clean stop", clean, service.journal("--lines=20"))
    kept = [machine.path(f"/etc/krx-recorder/{name}").exists() for name in ("krx-recorder.toml", "api-key")]
    facts.that("configuration and key are kept until it is purged", all(kept))
    files = sum(1 for _ in machine.path(f"{DATA}/trades").rglob("*.parquet"))
    done = machine.run("dpkg", "--purge", "krx-recorder", check=False)
    left = sum(1 for _ in machine.path(f"{DATA}/trades").rglob("*.parquet"))
    facts.that(f"dpkg --purge leaves all {files} recorded files", done.returncode == 0 and left == files > 0, done.stdout)
    facts.that("and says so", DATA in done.stdout, done.stdout)
    left = list(machine.path("/etc/krx-recorder").glob("api-key*"))
    facts.that("the key is gone, and the copy of it for cron", not left, left)


def installs_from_source(service: Service, facts: Facts) -> None:
    """After the package is gone: what `make install` installs, below /usr/local."""
    machine = service.machine
    environment = {**os.environ, "DESTDIR": str(machine.path("/")), "PREFIX": "/usr/local", "SYSCONFDIR": "/etc"}
    done = subprocess.run(["deploy/install.sh"], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    facts.that("make install installs below /usr/local", done.returncode == 0, done.stdout + done.stderr)
    machine.run("sh", "-c", "systemd-sysusers && systemd-tmpfiles --create krx-recorder.conf && systemctl daemon-reload")
    machine.write("/etc/krx-recorder/api-key", KEY + "\n", 0o600)
    service.configure(9890)
    service.systemctl("start", UNIT)
    facts.that("its service records", service.wait_for_records(), service.state())
    program = os.readlink(machine.path(f"/proc/{service.pid}/exe"))
    facts.that("with its own program", program == "/usr/local/bin/krx-recorder", program)
    service.systemctl("stop", UNIT)


def inside(machine: Machine, deb: Path, version: str = "") -> str:
    """A package's path in the machine; it is packed again there when it is to have another version."""
    path = "/var/tmp/krx-recorder.deb"
    if not version:
        machine.path(path).write_bytes(deb.read_bytes())
        return path
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
        command = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, machine.path(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
