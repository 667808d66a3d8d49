"""The Ray cluster files pass Ray's own validation and install what the lock says."""

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "cluster").glob("*.yaml"))


def test_both_are_there():
    assert [path.name for path in FILES] == ["aws.yaml", "onprem.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ray_accepts_it(path):
    validate_config(prepare_config(yaml.safe_load(path.read_text())))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_installs_from_the_lock_and_asks_for_a_token(path):
    config = yaml.safe_load(path.read_text())
    assert any("make setup" in command for command in config["setup_commands"])
    assert "requirements.lock" in (ROOT / "Makefile").read_text()
    starts = [command for kind in ("head", "worker") for command in config[f"{kind}_start_ray_commands"] if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "~/.ray/auth_token" in config["file_mounts"]
    assert "--dashboard-host=127.0.0.1" in starts[0], "the dashboard is heard on the head alone"
