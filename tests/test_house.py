"""The arrows of the house: who may import whom. And what must answer at once does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RAY_ROOMS = {"lssat/on_ray/ingest.py", "lssat/on_ray/spread.py", "lssat/on_ray/worker.py"}
LIGHT = (
    "lssat.config",
    "lssat.model.catalog",
    "search.space.definition",
    "search.space.file",
    "search.space.schema",
    "search.space.reach",
    "search.space.yaml_lines",
    "search.record.manifest",
    "search.record.folder",
)


def modules():
    return sorted(
        path.relative_to(ROOT).as_posix() for room in ("lssat", "search") for path in (ROOT / room).rglob("*.py")
    )


def imports(module):
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", modules())
def test_arrows(module):
    tops = {name.split(".")[0] for name in imports(module)}
    if module.startswith("lssat/"):
        assert "search" not in tops, "the method knows nothing of the study"
        assert "optuna" not in tops
        assert "ray" not in tops or module in RAY_ROOMS


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_pull_in_neither_torch_nor_ray(module):
    code = f"import sys, {module}; sys.exit(', '.join({{'torch', 'ray', 'timm', 'optuna'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{module} imports {done.stderr}"


def test_no_module_of_search_shadows_a_library():
    """`python search/run.py` puts search/ on the path for a moment."""
    own = {path.stem for path in (ROOT / "search").glob("*.py")} - {"__init__"}
    assert not own & set(sys.stdlib_module_names)
    assert not own & {"ray", "torch", "optuna", "timm", "rich", "yaml", "numpy"}


def test_lock_has_versions_only():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert lines
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)
