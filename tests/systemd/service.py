"""The recorder's service in a machine, as systemctl and journalctl show it, and the files that configure it."""

from __future__ import annotations

from pathlib import Path

from facts import wait_until
from machine import Machine

UNIT = "krx-recorder.service"
DATA = "/var/lib/krx-recorder"
MARKETS = {"market=KOSPI", "market=KOSDAQ"}
STATUS_URL = "http://127.0.0.1:9464"

# Unlike any other text, so that it can be searched for.
KEY = "qzx-api-key-of-the-tests-7391"

CONFIG = """\
data_dir = "{data_dir}"

[koscom]
base_url = "ws://127.0.0.1:{port}"
member_name = "Test of the systemd unit"
{koscom}

[schedule]
{schedule}

[journal]
segment_bytes = 4194304

[rotate]
interval = "1s"

[disk]
warn_free_bytes = 1048576

{more}
"""
STATUS = '[status]\nlisten = "127.0.0.1:9464"'
ALWAYS = 'mode = "always"'
BY_CALENDAR = 'open = "00:00"\nclose = "23:59"\ncalendar_file = "{calendar_file}"'


class Service:
    """krx-recorder.service of a machine."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self.data_dir = DATA

    def show(self, name: str, unit: str = UNIT) -> str:
        """A property of the unit."""
        return self.machine.out("systemctl", "show", "--property", name, "--value", unit)

    @property
    def pid(self) -> int:
        """Its main process, by the machine's numbers; 0 when there is none."""
        return int(self.show("MainPID") or 0)

    def kill(self, signal: str, pid: int) -> None:
        """Sends a signal to a process, and to nothing else: 0 would be a whole group."""
        if pid <= 1:
            raise AssertionError(f"there is no process to send {signal} to")
        self.machine.run("kill", f"-{signal}", str(pid))

    def proc(self, pid: int, file: str) -> str:
        """A file of /proc about one of the machine's processes."""
        return self.machine.path(f"/proc/{pid}/{file}").read_bytes().replace(b"\0", b" ").decode(errors="replace")

    def is_active(self) -> bool:
        return self.show("ActiveState") == "active"

    def systemctl(self, *arguments: str) -> None:
        self.machine.run("systemctl", *arguments)

    def journal(self, *arguments: str) -> str:
        """What the unit and systemd have logged of it."""
        return self.machine.out("journalctl", "--quiet", "--no-pager", "--unit", UNIT, *arguments)

    def state(self) -> str:
        """All that may tell why a fact does not hold."""
        return self.machine.out("systemctl", "status", "--no-pager", "--full", UNIT) + "\n" + self.journal("--lines=15")

    def configure(self, port: int, data_dir: str = DATA, schedule: str = ALWAYS) -> None:
        self.data_dir = data_dir
        text = CONFIG.format(data_dir=data_dir, port=port, koscom="", schedule=schedule, more=STATUS)
        self.machine.path("/etc/krx-recorder/krx-recorder.toml").write_text(text)

    def arguments(self, arguments: str) -> None:
        """What /etc/default gives to `krx-recorder run`."""
        self.machine.write("/etc/default/krx-recorder", f"KRX_RECORDER_ARGS={arguments}\n")

    def drop_in(self, text: str | None, unit: str = UNIT) -> None:
        """Changes the unit, or no longer changes it."""
        path = f"/run/systemd/system/{unit}.d/test.conf"
        if text is None:
            self.machine.path(path).unlink()
        else:
            self.machine.write(path, text)
        self.systemctl("daemon-reload")

    def wait_for_records(self) -> bool:
        """Waits until a file of each market is committed that was not there before."""
        before = self.sealed()
        return wait_until(lambda: {path.parent.name for path in self.sealed() - before} >= MARKETS)

    def sealed(self) -> set[Path]:
        return set(self.machine.path(f"{self.data_dir}/trades").glob("date=*/market=*/*.parquet"))

    def restarted(self, before: int, seconds: float = 20) -> bool:
        """Waits until there is another main process than `before`, and the service is active."""
        return wait_until(lambda: self.pid not in (0, before) and self.is_active(), seconds)


class Simulator:
    """A simulated exchange in the machine, with its ledger."""

    def __init__(self, machine: Machine, name: str, port: int, *arguments: str):
        self.machine, self.unit, self.port = machine, f"krx-simulator-{name}", port
        self.ledger = f"/var/tmp/ledger-{name}.jsonl"
        command = ["/mnt/target/release/krx-simulator", "--listen", f"127.0.0.1:{port}", "--rate", "4000", "--repeat"]
        machine.run("systemd-run", "--quiet", f"--unit={self.unit}", *command, "--ledger", self.ledger, *arguments)

    def listens(self) -> bool:
        """Waits until it does: it makes up its day first."""
        def listed() -> bool:
            sockets = Path(f"/proc/{self.machine.pid}/net/tcp").read_text()
            return f"0100007F:{self.port:04X} 00000000:0000 0A" in sockets

        return wait_until(listed, 60)

    def stop(self) -> None:
        """Stops it; its ledger is complete then."""
        self.machine.run("systemctl", "stop", self.unit)
