"""The API key is where it belongs, and nowhere else."""

from __future__ import annotations

import os
import stat

from facts import Facts
from service import KEY, STATUS_URL, UNIT, Service

KEY_FILES = ["/etc/krx-recorder/api-key", "/etc/krx-recorder/api-key-of-krx"]
PLACES = ["dev", "etc", "run", "srv", "tmp", "var"]
NEEDLE = KEY.encode()


def is_nowhere(service: Service, facts: Facts) -> None:
    machine = service.machine
    for command in ("show", "cat", "status --full --lines=10000", "show-environment"):
        words = [*command.split(), *([] if command == "show-environment" else [UNIT])]
        said = machine.out("systemctl", "--no-pager", *words)
        facts.that(f"it is not in systemctl {command}", said and KEY not in said)
    said = machine.out("journalctl", "--quiet", "--no-pager", "--all", "--output=export")
    facts.that("it is not in the journal", UNIT in said and KEY not in said)
    for page in ("", "healthz", "metrics", "status.json"):
        try:
            said = machine.get(f"{STATUS_URL}/{page}")
        except Exception:  # noqa: BLE001: a page that is not served tells nothing
            continue
        facts.that(f"it is not on the status port: /{page}", said and KEY not in said)
    holders = [
        f"{process.name}/{file}"
        for process in machine.path("/proc").iterdir()
        if process.name.isdigit()
        for file in ("cmdline", "environ")
        if NEEDLE in contents(process / file)
    ]
    facts.that("it is in no process's arguments and environment", not holders, holders)

    found = {path: status for place in PLACES for path, status in holding(machine.path(place), place)}
    credentials = f"/run/credentials/{UNIT}/api-key"
    facts.that("its file and the unit's credential have it", {KEY_FILES[0], credentials} <= found.keys(), found.keys())
    others = found.keys() - {credentials, *KEY_FILES}
    facts.that("no other file has it", not others, others)
    mode = stat.S_IMODE(found[credentials].st_mode) if credentials in found else 0
    uid = int(machine.out("id", "--user", "krx"))
    owner = found[credentials].st_uid if credentials in found else -1
    # systemd gives it to the user, or leaves it to root and lets the user read it by an ACL, which shows as the group's.
    facts.that(f"the credential is the service's alone (mode {mode:o})", mode & 0o337 == 0 and owner in (0, uid), (oct(mode), owner))
    readable = [path for path, status in found.items() if status.st_mode & 0o007]
    facts.that("nobody else may read any of these", not readable, readable)


def holding(top, place: str):
    """The files below a directory that have the key in them."""
    booted = os.stat(top.parent / "proc/1").st_ctime
    for folder, _, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            # What is older than the machine is not of its making.
            new = stat.S_ISREG(status.st_mode) and status.st_ctime > booted
            if new and NEEDLE in contents(path):
                yield f"/{place}/{os.path.relpath(path, top)}", status


def contents(path) -> bytes:
    """A file that may be gone by now."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
