"""Machines in namespaces of one computer: each has its own address, host name, PIDs, /tmp and /dev/shm.

They all live below one process: when that ends, however it ends, the kernel removes everything. No packet leaves, for
the bridge that joins them is in there, too. Files are shared: the project, the environment, and one folder.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SUBNET = "10.78.0"
NAMESPACES = ["--mount", "--pid", "--net", "--uts", "--ipc"]
MAKE = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
NEEDED = ("ip", "unshare", "nsenter", "setpriv")
LAN = f"""
mount --make-rprivate /
mount -t tmpfs tmpfs /run
echo '127.0.0.1 localhost' > /run/hosts
mount --bind /run/hosts /etc/hosts
ip link set lo up
ip link add br0 type bridge
ip addr add {SUBNET}.254/24 dev br0
ip link set br0 up
exec -a lan-$1 sleep infinity
"""
HOST = """
mount --make-rprivate /
mount -t tmpfs -o size=2g tmpfs /mnt
for folder in ${2//:/ }; do
    case $folder in /tmp/*) mkdir -p "/mnt$folder"; mount --rbind "$folder" "/mnt$folder";; esac
done
chmod 1777 /mnt
if [ -d /mnt/tmp ]; then chmod 1777 /mnt/tmp; else mkdir -m 1777 /mnt/tmp; fi
mount --rbind /mnt/tmp /tmp
mount -t tmpfs -o size=2g tmpfs /dev/shm
ip link set lo up
hostname "$1"
exec -a "host-$1" sleep infinity
"""


def skip_unless_possible() -> None:
    """A skip where namespaces cannot be made."""
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if os.geteuid() or subprocess.run([*MAKE, "true"], capture_output=True).returncode:
        pytest.skip("needs root that may make namespaces")


@dataclass
class Hosts:
    """Several machines. `shared`: the folder below /tmp that all see. Use it as a context."""

    shared: Path
    addresses: dict[str, str] = field(default_factory=dict)
    _pids: dict[str, int] = field(default_factory=dict)
    _lan: subprocess.Popen | None = None

    def __enter__(self) -> Hosts:
        skip_unless_possible()
        self._lan = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *MAKE, "bash", "-c", LAN, "lan", "0"], stdin=subprocess.DEVNULL
        )
        self._pids["lan"] = _first(self._lan.pid, "lan-0")
        return self

    def __exit__(self, *error: object) -> None:
        assert self._lan
        self._lan.kill()  # `--kill-child`: all that is below it ends with it
        self._lan.wait(30)

    def add(self, name: str) -> str:
        """One more machine, or one that was off; its address."""
        known = name in self.addresses
        number = list(self.addresses).index(name) + 1 if known else len(self.addresses) + 1
        address = self.addresses.setdefault(name, f"{SUBNET}.{number}")
        if not known:
            self._on_lan(f"echo '{address} {name}' >> /run/hosts")
        folders = ":".join(str(path) for path in dict.fromkeys([ROOT, Path(sys.prefix).resolve(), self.shared]))
        command = [*MAKE, "bash", "-c", HOST, "host", name, folders]
        outer = subprocess.Popen([*self._enter("lan"), *command], stdin=subprocess.DEVNULL)
        pid = self._pids[name] = _first(outer.pid, f"host-{name}")
        inner = next(line.split()[-1] for line in _status(pid) if line.startswith("NSpid"))
        assert inner == "1", "the first process of its namespace"
        cable = f"v{number}"
        self._on_lan(
            f"ip link del {cable} 2> /dev/null; ip link add {cable} type veth peer name eth0 netns {self._seen(pid)}"
        )
        self._on_lan(f"ip link set {cable} master br0 up")
        self.run(name, f"ip addr add {address}/24 dev eth0; ip link set eth0 up; ip route add default via {SUBNET}.254")
        return address

    def run(self, name: str, command: str, timeout: float = 120) -> str:
        """What a command says in a machine. Raises CalledProcessError."""
        done = subprocess.run(
            self.words(name, command), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout

    def words(self, name: str, command: str) -> list[str]:
        """The words that run a command in a machine, for `subprocess`."""
        env = f"HOME=/tmp PATH={Path(sys.executable).parent}:{PATH} LANG=C.UTF-8 OMP_NUM_THREADS=1"
        inside = f"cd {shlex.quote(str(ROOT))}; {command}"
        return [*self._enter(name), "env", "-i", *env.split(), "bash", "-c", inside]

    def cut(self, name: str) -> None:
        """Take the machine's network cable out."""
        self._on_lan(f"ip link set v{self._number(name)} down")

    def mend(self, name: str) -> None:
        """Put it back."""
        self._on_lan(f"ip link set v{self._number(name)} up")

    def off(self, name: str) -> None:
        """Power off at once: SIGKILL to all its processes."""
        psutil.Process(self._pids.pop(name)).kill()

    def processes(self, name: str, pattern: str) -> list[psutil.Process]:
        """The processes of a machine whose command says `pattern`, oldest first."""
        namespace = os.readlink(f"/proc/{self._pids[name]}/ns/pid")
        found = []
        for process in psutil.process_iter():
            try:
                if os.readlink(f"/proc/{process.pid}/ns/pid") == namespace and pattern in " ".join(process.cmdline()):
                    found.append(process)
            except (OSError, psutil.Error):
                continue
        return found

    def _number(self, name: str) -> int:
        return list(self.addresses).index(name) + 1

    def _enter(self, name: str) -> list[str]:
        return ["nsenter", "-t", str(self._pids[name]), *NAMESPACES]

    def _on_lan(self, command: str) -> None:
        subprocess.run([*self._enter("lan"), "bash", "-c", command], check=True, capture_output=True)

    def _seen(self, pid: int) -> str:
        """The PID of a process as the lan's namespace counts."""
        return next(line.split() for line in _status(pid) if line.startswith("NSpid"))[-2]


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()


def _first(outer: int, command: str) -> int:
    """The PID of the first process of new namespaces, once it is ready."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process in psutil.Process(outer).children(recursive=True):
            try:
                if process.cmdline()[:1] == [command]:
                    return process.pid
            except psutil.Error:
                continue
        time.sleep(0.05)
    raise TimeoutError(f"{command} did not start")
