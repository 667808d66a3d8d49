"""The file for Slurm: run as its head says on two hosts of one machine, with commands that do what Slurm's do."""

import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray.scripts.symmetric_run import symmetric_run

ROOT = Path(__file__).resolve().parents[4]
FILE = ROOT / "cluster" / "slurm.sbatch"
TEXT = FILE.read_text()
HOSTS = Path(__file__).with_name("hosts.sh")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = ("ip", "sshd", "ssh", "ssh-keygen", "unshare")
NAMESPACES = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
SPACE = {
    "fixed": {
        "backbone.name": "test_vit",
        "backbone.patch_size": 8,
        "data.image_size": 32,
        "data.num_images": 200,
        "masking.unit": 8,
        "optim.epochs": 1,
        "optim.batch_size": 16,
    },
    "space": {"decoder.dim": [32, 48]},
    "search": {"num_trials": 2, "scheduler": "none", "finalists": 0},
}
SRUN = """#!/usr/bin/env bash
# As Slurm's: a command on every node of the job, or on the one named, with the environment of the caller.
nodes=$SLURM_JOB_NODELIST
while [[ $1 == --* ]]; do
  [[ $1 == --nodelist=* ]] && nodes=${1#*=}
  shift
done
export -p > "$SLURM_SUBMIT_DIR/environment"
for node in ${nodes//,/ }; do
  ssh -o StrictHostKeyChecking=no "$node" "source $SLURM_SUBMIT_DIR/environment; cd $PWD; exec $(printf '%q ' "$@")" &
done
failed=0
for one in $(jobs -p); do wait "$one" || failed=1; done
exit $failed
"""
SCONTROL = """#!/usr/bin/env bash
[ "$1 $2" = "show hostnames" ] && tr , '\\n' <<< "$3"
"""


def test_bash_takes_it_and_ray_knows_its_options():
    assert subprocess.run(["bash", "-n", FILE]).returncode == 0
    command = re.search(r"ray symmetric-run (.*?) -- ", TEXT.replace("\\\n", " "), re.S)[1]
    own = {option for parameter in symmetric_run.params for option in parameter.opts}
    ray = Path(sys.executable).with_name("ray")
    of_start = subprocess.run([ray, "start", "--help"], capture_output=True, text=True).stdout
    for option in re.findall(r"--[a-z-]+", command):
        assert option in own or f"{option} " in of_start, option
    assert 'srun --cpus-per-task="$SLURM_CPUS_PER_TASK"' in TEXT.split("symmetric-run")[0].splitlines()[-1], "else one"
    assert not {"--head", "--port", "--block", "--node-ip-address"} & set(re.findall(r"--[a-z-]+", command))


def test_header_says_how():
    header = TEXT.split("\n#SBATCH")[0]
    for words in (
        "make setup",
        "sbatch cluster/slurm.sbatch",
        "ssh -L 8265:",
        "scancel",
        "Cost per hour",
        "report.html",
    ):
        assert words in header
    assert "RAY_AUTH_MODE=token" in TEXT
    assert "RAY_AUTH_TOKEN=" not in TEXT


@pytest.fixture
def submitted(tmp_path):
    """The project as it lies on the file system that all nodes share, with a small study; and Slurm's commands."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("lssat", "search", "requirements.lock"):
        (project / name).symlink_to(ROOT / name)
    (project / ".venv").symlink_to(sys.prefix)
    (project / "spaces").mkdir()
    (project / "spaces" / "backbones.yaml").write_text(yaml.safe_dump(SPACE))
    programs = tmp_path / "slurm"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    script = tmp_path / "slurm.sbatch"
    script.write_text(TEXT.replace("data=faces.parquet task=male", "data=synthetic task=emotion"))
    return project, programs, script


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(450)
def test_a_study_runs_on_the_nodes_of_a_job_and_ray_ends_with_it(submitted, tmp_path):
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    unshare = [shutil.which("unshare", path=PATH) or "unshare", *NAMESPACES]
    if missing or os.geteuid() or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip(f"needs root that may make namespaces, and {', '.join(NEEDED)}")
    project, programs, script = submitted
    nodes = ["node1", "node2"]
    folders = ":".join(map(str, (ROOT, tmp_path, sys.prefix, Path(sys.prefix).resolve(), sys.base_prefix)))
    done = subprocess.run(
        [*unshare, "bash", HOSTS, folders, sys.prefix, f"bash {script}", *nodes],
        cwd=ROOT,
        env={
            "PATH": f"{programs}:{PATH}",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "SLURM_SUBMIT_DIR": str(project),
            "SLURM_JOB_NODELIST": ",".join(nodes),
            "SLURM_JOB_NUM_NODES": str(len(nodes)),
            "SLURM_CPUS_PER_TASK": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert (project / "results" / "faces" / "best" / "weights.safetensors").exists(), said
    assert (project / "storage" / "faces" / "study.json").exists(), (
        "the copy of the study, which another job goes on with"
    )
    assert "On worker node" in said, said
