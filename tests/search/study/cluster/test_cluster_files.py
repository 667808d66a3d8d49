"""The files for `ray up`: Ray accepts them, they install what is locked, and they open nothing to others."""

import re
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[4]
FILES = ["onprem", "aws", "gcp"]
FIXED = {
    "node-manager-port": "6380",
    "object-manager-port": "6381",
    "dashboard-agent-grpc-port": "6382",
    "dashboard-agent-listen-port": "6383",
    "runtime-env-agent-port": "6384",
    "min-worker-port": "6400",
    "max-worker-port": "6999",
}


@pytest.fixture(params=FILES)
def text(request):
    return (ROOT / "cluster" / f"{request.param}.yaml").read_text()


@pytest.fixture
def config(text):
    return yaml.safe_load(text)


def commands(config, *kinds):
    return [command for kind in kinds for command in config.get(f"{kind}_commands", [])]


def test_ray_accepts_it(config):
    prepared = prepare_config(config)
    validate_config(prepared)
    assert sum(kind.get("min_workers", 0) for kind in prepared["available_node_types"].values()) >= 2


def test_installs_the_lock_with_its_python(config):
    setup = commands(config, "setup")
    assert any("make setup" in command for command in setup)
    assert {"requirements.lock", "Makefile"} <= set(config["file_mounts"].values())
    makefile = (ROOT / "Makefile").read_text()
    assert "pip install" in makefile and "-r requirements.lock" in makefile
    python = re.search(r'requires-python = ">=([\d.]+)', (ROOT / "pyproject.toml").read_text())[1]
    assert f"python{python}" in makefile
    fetched = [command for command in setup if "uv python" in command]
    assert all(re.search(rf"uv python (install --quiet|find) {re.escape(python)}\b", command) for command in fetched)


def test_copies_what_runs_and_no_more(config):
    mounted = config["file_mounts"]
    for remote, local in mounted.items():
        if not local.startswith("~"):
            assert (ROOT / local).exists()
            assert remote == f"~/l-ssat-search/{local}"
    assert {"lssat", "search", "spaces"} <= set(mounted.values())
    excluded = {pattern.removeprefix("**/") for pattern in config["rsync_exclude"]}
    assert {".venv", "results", ".git", "__pycache__"} <= excluded


def test_every_node_starts_ray_with_the_shared_token(config):
    starts = [command for command in commands(config, "head_start_ray", "worker_start_ray") if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command and "/.venv/bin/ray start" in command for command in starts)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_dashboard_is_on_and_local(config):
    """On: else trials with several workers that ASHA stops never give back their CPUs. Local: it can start jobs."""
    head = next(command for command in commands(config, "head_start_ray") if "--head" in command)
    assert "--include-dashboard=true" in head
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in yaml.safe_dump(config)


def test_every_port_that_others_reach_is_a_fixed_one(config):
    """What those ports are on machines that are up: `test_cluster_up.py`."""
    starts = [command for command in commands(config, "head_start_ray", "worker_start_ray") if "ray start" in command]
    for command in starts:
        ports = dict(re.findall(r"--([a-z-]+-port)=(\d+)", command))
        assert ports == FIXED | ports
        assert "RAY_enable_metrics_collection=0" in command
    assert "AUTOSCALER_METRIC_PORT=-1 DASHBOARD_METRIC_PORT=-1" in starts[0]


def test_holds_no_secret(text):
    assert not re.search(r"AKIA|[0-9a-f]{32}|PRIVATE KEY|password:", text)


def test_header_says_how(text):
    header = text.split("\n\ncluster_name")[0]
    assert all(line.startswith("#") or not line for line in header.splitlines())
    for words in (
        "ray up cluster/",
        "ray down cluster/",
        "ray attach --tmux cluster/",
        "ray dashboard cluster/",
        "tensorboard --host 127.0.0.1 --port 6006",
        "ray rsync-down cluster/",
        "results/faces/report.html",
        "Cost per hour",
        "search/run.py --space spaces/backbones.yaml",
        "--address auto",
        "--storage /shared",
    ):
        assert words in header
