"""A machine of its own: systemd as process 1 in its own namespaces, on an overlay of this machine's disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"]

BOOT_S_MAX = 30
COMMAND_S_MAX = 60


class Machine:
    """Boots as a context manager; at its end all of its processes are killed, and nothing of it is left."""

    def __init__(self, repository: Path):
        self.repository = repository
        self.cgroup = cgroup_root() / f"krx-test-systemd-{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="krx-test-systemd-")
        self.outer: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def __enter__(self) -> Machine:
        self.cgroup.mkdir()
        try:
            self._boot()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, *command: str, check: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command in the machine. Standard error is in stdout, in its place."""
        variables = [f"{name}={value}" for name, value in {"PATH": PATH, "LANG": "C.UTF-8", **(env or {})}.items()]
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--all", "env", "-i", *variables, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A command that signals its process group must not reach this one.
            start_new_session=True,
            timeout=COMMAND_S_MAX,
            check=False,
            text=True,
            errors="replace",
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout.strip()}")
        return done

    def out(self, *command: str) -> str:
        """What a command prints, whatever its exit code."""
        return self.run(*command, check=False).stdout.strip()

    def path(self, path: str) -> Path:
        """A path of the machine, as this process reaches it."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Writes a file of the machine, owned by root."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode)
        file.chmod(mode)
        file.write_text(text)

    def get(self, url: str) -> str:
        """Fetches a URL of the machine's own network."""
        fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"
        command = ["nsenter", "--target", str(self.pid), "--net", sys.executable, "-c", fetch, url]
        return subprocess.run(command, capture_output=True, check=True, timeout=COMMAND_S_MAX, text=True).stdout

    def _boot(self) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--fork", "--kill-child", *NAMESPACES]
        join = f"echo $$ >{self.cgroup}/cgroup.procs && exec \"$@\""
        self.outer = subprocess.Popen(
            ["sh", "-c", join, "sh", *command, str(HERE / "boot.sh"), self.folder, str(self.repository)],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + BOOT_S_MAX
        while time.monotonic() < deadline:
            if self.outer.poll() is not None:
                raise AssertionError(f"the machine did not boot: it ended with {self.outer.returncode}")
            children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
                self.pid = int(children[0])
                if self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise AssertionError(f"the machine did not boot within {BOOT_S_MAX} s")

    def _end(self) -> None:
        if self.outer is not None:
            # Its child is process 1 of the machine, and dies with it, and with that one all others.
            self.outer.send_signal(signal.SIGKILL)
            self.outer.wait()
        deadline = time.monotonic() + 10
        while self.cgroup.exists():
            for group, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(group)
                except OSError:
                    # A process that was killed is in it for a moment more.
                    pass
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.cgroup} still has processes")
            time.sleep(0.05)
        # Its mounts were in the machine's namespace: it is empty again.
        os.rmdir(self.folder)


def cgroup_root() -> Path:
    """Where this machine has its unified hierarchy."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount_point, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(mount_point)
    raise AssertionError("there is no cgroup2 hierarchy on this machine: mount one, as systemd does")
