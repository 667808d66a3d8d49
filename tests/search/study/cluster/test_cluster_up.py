"""The file for one's own machines, used as its head says: hosts of one machine, a network and an SSH server each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]
FILE = ROOT / "cluster" / "onprem.yaml"
HOSTS = Path(__file__).with_name("hosts.sh")
NEEDED = ("ip", "sshd", "ssh", "ssh-keygen", "rsync", "unshare", "make")
LISTENING = Path(__file__).with_name("listening.py")
OPEN = {22, *range(6379, 6385), *range(6400, 7000)}
"""SSH, and what the file names."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
UP = """
sed 's/ssh_user: ubuntu/ssh_user: root/' cluster/onprem.yaml > ~/onprem.yaml
ray get-auth-token --generate > /dev/null
ray up -y ~/onprem.yaml || exit
for _ in $(seq {tries}); do
    timeout 60 ray exec ~/onprem.yaml 'ray status' > ~/status
    grep -q '^ {machines} local' ~/status && break
    sleep 1
done
echo "machines:$(grep -o '^ [0-9]* local' ~/status)"
for host in {hosts}; do
    ssh -o StrictHostKeyChecking=no "$host" l-ssat-search/.venv/bin/python - < {listening}
done
ray down -y ~/onprem.yaml && echo down
"""


@pytest.fixture
def unshare():
    """The command that makes namespaces; a skip where that or a program is missing."""
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    command = [shutil.which("unshare", path=PATH), *NAMESPACES]
    if os.geteuid() or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("needs root that may make namespaces")
    return command


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_ray_up_from_another_machine_joins_every_machine_listed(unshare):
    provider = yaml.safe_load(FILE.read_text())["provider"]
    machines = [provider["head_ip"], *provider["worker_ips"]]
    up = UP.format(machines=len(machines), tries=45, hosts=" ".join(machines), listening=LISTENING)
    folders = ":".join(map(str, (ROOT, sys.prefix, Path(sys.prefix).resolve(), sys.base_prefix)))
    done = subprocess.run(
        [*unshare, "bash", HOSTS, folders, sys.prefix, up, *machines],
        cwd=ROOT,
        env={"PATH": f"{Path(sys.executable).parent}:{PATH}", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    said = done.stdout + done.stderr
    assert re.findall(r"^machines: (\d+)", done.stdout, re.M) == [str(len(machines))], said
    assert done.stdout.endswith("down\n"), said
    listening = [(host, int(port)) for host, port in re.findall(r"^listens: (\S+) (\d+)$", done.stdout, re.M)]
    assert {host for host, _ in listening} == set(machines), said
    assert {port for _, port in listening} <= OPEN, listening
    assert (machines[0], 6379) in listening
