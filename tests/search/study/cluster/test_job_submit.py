"""A study sent to a cluster that is up by `ray job submit`: it ends as elsewhere, and its results outlive the job."""

import csv
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]
RAY = str(Path(sys.executable).with_name("ray"))
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


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def environment():
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "TUNE_", "AWS_", "PYTHONPATH"))
    }
    return kept | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "RAY_enable_metrics_collection": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "AUTOSCALER_METRIC_PORT": "-1",
        "DASHBOARD_METRIC_PORT": "-1",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def dashboard(environment):
    """Its address, of a head with one CPU."""
    folder = Path(tempfile.mkdtemp(prefix="job", dir="/tmp"))  # Ray's sockets need a short path
    port, dashboard, agent, client = free_ports(4)
    head = [RAY, "start", "--head", "--block", f"--port={port}", f"--temp-dir={folder}", "--num-cpus=1"]
    head += ["--node-ip-address=127.0.0.1", "--include-dashboard=true", "--dashboard-host=127.0.0.1"]
    head += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}", "--disable-usage-stats"]
    head += [f"--ray-client-server-port={client}", "--object-store-memory=200000000"]
    node = subprocess.Popen(head, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        node.terminate()
        node.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def submit(dashboard, environment, project, *words):
    """The job's exit code, and what it said."""
    command = [RAY, "job", "submit", "--address", dashboard, "--working-dir", project, "--"]
    command += [sys.executable, "search/run.py", "--space", "tiny.yaml", "--address", "auto", "--name", "tiny", *words]
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path):
    """What is sent, as `git archive` would give it."""
    folder = tmp_path / "project"
    for package in ("lssat", "search"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "spaces", folder / "spaces")
    shutil.copy(ROOT / "requirements.lock", folder)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(SPACE))
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(600)
def test_a_submitted_study_ends_with_a_winner_outside_the_folder_of_the_job(tmp_path, environment, dashboard, project):
    for _ in range(60):  # until the agent that starts jobs is up
        code, said = submit(dashboard, environment, project)
        if "Traceback" not in said or "error: " in said:
            break
    assert code == 1, said
    assert "error: the results would lie in the folder of the job" in said
    assert "--results" in said

    code, said = submit(dashboard, environment, project, "--results", tmp_path / "results")
    assert code == 0, said
    folder = tmp_path / "results" / "tiny"
    with (folder / "leaderboard.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["complete", "complete"]
    assert (folder / "best" / "weights.safetensors").exists()
    assert (folder / "report.html").exists()
    hidden = [value for name, value in environment.items() if name.startswith(("RAY_AUTH_TOKEN", "AWS_"))]
    assert len(hidden) >= 3
    assert [value for value in hidden if value in said] == []
    for path in folder.rglob("*"):
        held = path.read_bytes() if path.is_file() else b""
        assert [path for value in hidden if value.encode() in held] == []
