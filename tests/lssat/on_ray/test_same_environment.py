"""What a machine of a cluster has otherwise than the process that asks. That all are asked: `test_cluster_run.py`."""

import platform
from importlib.metadata import version

import pytest

from lssat.on_ray.same_environment import WITHOUT_LOCK, differences, installed, locked


def test_a_process_says_what_it_has():
    found = installed(["torch", "timm", "no-such-package"])
    assert found["Python"] == platform.python_version()
    assert found["timm"] == version("timm")
    assert found["torch"] == version("torch").split("+")[0], "builds of one version are alike"
    assert found["no-such-package"] == "none"


def test_the_names_are_those_of_the_lock(tmp_path):
    names = locked()
    assert {"ray", "torch", "timm"} <= set(names)
    assert installed(names) == installed(names)
    assert "none" not in installed(WITHOUT_LOCK).values()
    assert locked(tmp_path / "none") == list(WITHOUT_LOCK)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({}, ""),
        ({"timm": "1.0.30"}, "timm 1.0.30 instead of 1.0.31"),
        ({"Python": "3.12.1", "ray": "none"}, "Python 3.12.1 instead of 3.11.2, ray none instead of 2.60.0"),
        (
            {"Python": "3", "ray": "1", "timm": "1", "torch": "1", "numpy": "1"},
            "Python 3 instead of 3.11.2, ray 1 instead of 2.60.0, timm 1 instead of 1.0.31 and 2 more",
        ),
    ],
)
def test_differences_are_named(there, said):
    here = {"Python": "3.11.2", "ray": "2.60.0", "timm": "1.0.31", "torch": "2.14.1", "numpy": "2.3.0"}
    assert differences(here, here | there) == said
