"""`pip install .`: commands run from any folder, find the spaces that come with them, and write where the user is."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from lssat.command import COMMANDS
from search.command_line.shipped import space_path

ROOT = Path(__file__).resolve().parents[1]
SPACES = sorted((ROOT / "spaces").iterdir())
MAKEFILE = (ROOT / "Makefile").read_text()


def run(*words, cwd, **variables):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
    words = list(map(str, words))
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the commands of a fresh environment that sees the libraries of this one, but not the clone."""
    folder = tmp_path_factory.mktemp("install")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if name.startswith(("lssat/", "search/", "spaces/")) or name in ("pyproject.toml", "setup.py", "README.md"):
            (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "clone" / name)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    python, pip = environment / "bin" / "python", ["-m", "pip", "--disable-pip-version-check"]
    done = run(python, *pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "clone", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    done = run(python, *pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder / "clone")
    return environment / "bin"


def test_every_command_is_installed_under_its_name():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    modules = [typed.split()[-1].removesuffix(".py").replace("/", ".") for typed in COMMANDS]
    assert scripts == {name: f"{module}:main" for name, module in zip(COMMANDS.values(), modules, strict=True)}


@pytest.mark.parametrize("typed", COMMANDS)
def test_help_shows_the_form_in_which_it_was_asked_for(installed, tmp_path, typed):
    in_clone = run(sys.executable, *typed.split()[1:], "--help", cwd=ROOT)
    elsewhere = run(installed / COMMANDS[typed], "--help", cwd=tmp_path)
    assert elsewhere.returncode == in_clone.returncode == 0, elsewhere.stderr + in_clone.stderr
    assert f"usage: {typed} " in in_clone.stdout
    assert f"usage: {COMMANDS[typed]} " in elsewhere.stdout
    assert not [other for other in COMMANDS if other in elsewhere.stdout]


def test_the_installed_spaces_are_those_of_the_clone(installed):
    (folder,) = installed.parent.glob("lib/python*/site-packages/search/spaces")
    assert {path.name: path.read_bytes() for path in SPACES} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_every_file_of_the_packages_is_installed(installed):
    """The page of a report is made of some that are no Python."""
    words = ["git", "ls-files", "-z", "lssat", "search"]
    tracked = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    (packages,) = installed.parent.glob("lib/python*/site-packages")
    assert not [name for name in filter(None, tracked) if not (packages / name).exists()]


def test_a_space_of_the_current_folder_goes_before_the_one_that_comes_with_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert space_path("spaces/paper.yaml") == ROOT / "spaces" / "paper.yaml"
    assert space_path("paper.yaml") == Path("paper.yaml"), "one spelling is enough"
    assert space_path("spaces/none.yaml") == Path("spaces/none.yaml"), "the error names what was typed"
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "paper.yaml").touch()
    assert space_path("spaces/paper.yaml") == Path("spaces/paper.yaml")


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_an_installed_search_of_one_trial_writes_to_the_current_folder(installed, tmp_path):
    words = ["--space", "spaces/backbones.yaml", "--profile", "laptop", "--num-trials", "1", "--name", "one"]
    small = {
        "data.image_size": 32,
        "data.num_images": 200,
        "masking.unit": 8,
        "optim.epochs": 1,
        "optim.warmup_epochs": 0,
        "backbone.name": "test_resnet",
        "search.grace_epochs": 1,
        "search.finalists": 0,
    }
    words += [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    done = run(installed / "lssat-search", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "one" / "best" / "weights.safetensors").exists()
    manifest = json.loads((tmp_path / "results" / "one" / "manifest.json").read_text())
    assert manifest["commit"] is None, "an environment may lie in a repository that is not the project's"
    done = run(installed / "lssat-compare", "results/one", "--arms", "streams", "--baseline", "M", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "baseline" in done.stdout
    (prepared,) = [path.parent for path in (tmp_path / "results" / ".data").glob("*/dataset.json")]
    done = run(installed / "lssat-evaluate", "results/one/best", "--data", prepared, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("macro_f1 ")


def test_make_says_what_it_will_fetch_and_then_does(tmp_path):
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "requirements.lock").touch()
    done = run("make", "setup", f"PYTHON={sys.executable}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "about 3 GB" in done.stdout
    assert (tmp_path / ".venv" / "bin" / "python").exists()
    assert run("make", "setup", "PYTHON=/bin/false", cwd=tmp_path).returncode == 0, "it was set up already"


@pytest.mark.parametrize("python", ["python-that-is-not-there", "/bin/false"])
def test_make_says_in_one_line_which_python_to_install(tmp_path, python):
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "requirements.lock").touch()
    done = run("make", "search", f"PYTHON={python}", cwd=tmp_path)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert (done.returncode, len(errors)) == (2, 1), done.stderr
    assert f"`{python}`" in errors[0]
    assert "Install Python 3.11" in errors[0]
    assert not (tmp_path / ".venv").exists()
