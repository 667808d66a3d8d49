"""The file for Slurm: bash reads it, Ray knows the options that it gives, and its head says how."""

import re
import subprocess
import sys
from pathlib import Path

from ray.scripts.symmetric_run import symmetric_run

ROOT = Path(__file__).resolve().parents[4]
FILE = ROOT / "cluster" / "slurm.sbatch"
TEXT = FILE.read_text()


def test_bash_takes_it_and_ray_knows_its_options():
    assert subprocess.run(["bash", "-n", FILE]).returncode == 0
    command = re.search(r"ray symmetric-run (.*?) -- ", TEXT.replace("\\\n", " "), re.S)[1]
    own = {option for parameter in symmetric_run.params for option in parameter.opts}
    ray = Path(sys.executable).with_name("ray")
    of_start = subprocess.run([ray, "start", "--help"], capture_output=True, text=True).stdout
    for option in re.findall(r"--[a-z-]+", command):
        assert option in own or f"{option} " in of_start, option
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
