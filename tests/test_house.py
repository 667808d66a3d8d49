"""The rules of the house that no linter knows, and every import rule of pyproject.toml, broken once to see it fail."""

import ast
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from lssat.tools import architecture

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lssat", "search")
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
FORBIDDEN = [  # import rule, a module, and a line that it must not hold
    ("method", "lssat.bundle.exporting", "from search.record.folder import RunFolder"),
    ("ray", "search.plan.rates", "import ray"),
    ("ray", "lssat.train.loop", "from ray import train"),
    ("optuna", "search.findings.leaderboard", "import optuna"),
    ("optuna", "lssat.on_ray.worker", "import optuna"),
    ("optuna", "search.findings.roles.page", "import optuna_dashboard"),
    ("tools", "lssat.evaluate", "from lssat.tools import catalog"),
    ("tools", "search.run", "from lssat.tools.catalog import generate"),
    ("instant", "search.space.rules", "import torch"),
    ("instant", "search.space.rules", "from lssat.train import optim"),
    ("instant", "search.record.folder", "from lssat.model.encoders import build"),
    ("instant", "lssat.config", "import timm"),
    ("claims", "search.claims.ranks", "from search.record.folder import RunFolder"),
    ("claims", "search.claims.ranks", "from pathlib import Path"),
    ("evaluation", "lssat.evaluation.metrics", "import torch"),
    ("evaluation", "lssat.evaluation.metrics", "from lssat.config import Config"),
    ("data", "lssat.data.prepared.rows", "import torch"),
    ("data", "lssat.data.prepare.prepare", "from lssat.on_ray.parallel import jobs_on_cluster"),
    ("data-layers", "lssat.data.prepared.table", "from lssat.data.sources import registry"),
    ("data-layers", "lssat.data.sources.registry", "from lssat.data.prepare import audit"),
    ("model-layers", "lssat.model.encoders.base", "from lssat.model.decoder import Decoder"),
    ("model", "lssat.inputs.target", "from lssat.data.prepared.rows import Batch"),
    ("method-layers", "lssat.model.lssat", "from lssat.train import loop"),
    ("method-layers", "lssat.inputs.masking", "from lssat.model import decoder"),
    ("study-layers", "search.strategy.budget", "from search.study.context import Study"),
    ("study-layers", "search.record.trials", "from search.findings import leaderboard"),
    ("circles", "search.study.context", "from search.study.session import Sitting"),
]
HEAVY = ("torch", "ray", "timm", "optuna")
COMMANDS_AT_ONCE = (
    "search.run",
    "search.compare",
    "search.across",
    "search.dashboard",
    "search.report",
    "search.role",
)
RUN_FOLDER_NAMES = {
    "trials",
    "baselines",
    "finals",
    "config.json",
    "metrics.jsonl",
    "outcome.json",
    "manifest.json",
    "study.db",
    "log.txt",
    "test.json",
    "leaderboard.csv",
    "leaderboard.md",
    "speeds.json",
    "reconstruction.png",
    "finals.csv",
    "predictions-validation.parquet",
    "predictions-test.parquet",
    "finals.md",
    "report.html",
    "report.json",
}
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", ROOT / "Makefile"]
PAGES += sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("spaces/*.yaml"), *ROOT.glob("cluster/*")])


@functools.lru_cache
def sources(*folders):
    """The Python files below some folders of the project, parsed, by their path from its root."""
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}


def literals(tree):
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


# Import rules


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The packages and their import rules, to be broken."""
    folder = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint_imports(folder, contract):
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo", "--contract", contract]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("contract", "module", "line"), FORBIDDEN)
def test_each_import_rule_is_broken_by_what_it_forbids(copied, contract, module, line):
    """Even inside a function."""
    path = copied / f"{module.replace('.', '/')}.py"
    before = path.read_text()
    path.write_text(f"{before}\n\ndef _breaks_the_rule():\n    {line}\n")
    try:
        done = lint_imports(copied, contract)
    finally:
        path.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    assert module in done.stdout or module.rpartition(".")[0] in done.stdout, done.stdout


def test_each_import_rule_is_tried():
    assert {contract for contract, _, _ in FORBIDDEN} == CONTRACTS.keys()


# What a linter cannot say


def test_what_must_answer_at_once_loads_neither_torch_ray_timm_nor_optuna():
    """The import rule `instant` at run time: packages and libraries may load what no import line says."""
    modules = list(COMMANDS_AT_ONCE)
    for name in CONTRACTS["instant"]["source_modules"]:
        path = ROOT / name.replace(".", "/")
        inside = [f"{name}.{file.stem}" for file in sorted(path.glob("*.py")) if file.stem != "__init__"]
        modules += inside if path.is_dir() else [name]
    code = (
        "import importlib, sys\n"
        f"for name in {modules}:\n"
        "    importlib.import_module(name)\n"
        f"    if found := set({HEAVY}) & set(sys.modules):\n"
        "        sys.exit(f'{name} loads ' + ', '.join(sorted(found)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_waits_for_the_workers_of_a_trial_loads_neither_timm_nor_scikit_learn():
    """They take seconds, and every trial with several workers starts two such processes."""
    code = (
        "import sys, search.study.trial\n"
        "assert not (found := {'timm', 'torchvision', 'sklearn'} & set(sys.modules)), found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_module_of_search_shadows_a_library():
    """`python search/run.py` puts search/ on the path for a moment."""
    own = {path.stem for path in (ROOT / "search").iterdir()} - {"__init__", "__pycache__"}
    assert not own & set(sys.stdlib_module_names)
    assert not [name for name in own if importlib.util.find_spec(name)]


def test_lock_has_versions_only():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert lines
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)


def test_a_folder_has_at_most_15_files():
    counts = Counter(os.path.dirname(path) for path in sources(*PACKAGES, "tests"))
    assert {folder: count for folder, count in counts.items() if count > 15} == {}


def test_an_init_file_says_what_its_folder_is_for_and_imports_nothing():
    """It runs before every module of its folder; docs/architecture.svg shows its first sentence."""
    for path, tree in sources(*PACKAGES).items():
        if path.endswith("__init__.py"):
            assert ast.get_docstring(tree), path
            if path == "lssat/__init__.py":
                continue  # `from lssat import load` imports when it is asked for
            assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)], path


def test_what_is_public_has_a_docstring():
    undocumented = [path for path, tree in sources(*PACKAGES).items() if tree.body and not ast.get_docstring(tree)]
    for path, tree in sources(*PACKAGES).items():
        undocumented += [f"{path}:{node.lineno} {node.name}" for node in public(tree) if not ast.get_docstring(node)]
    assert not undocumented


def public(node):
    """The classes and functions of a module that have a public name, and the methods of such classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            yield child
            yield from public(child) if isinstance(child, ast.ClassDef) else ()
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from public(child)


def test_functions_of_training_have_at_most_5_parameters():
    """`ctx` is torch's, where a function has a derivative of its own."""
    for path, tree in sources("lssat/train", "lssat/inputs", "lssat/model").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                arguments = node.args
                named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                count = len([name for name in named if name.arg not in ("self", "cls", "ctx")])
                count += bool(arguments.vararg) + bool(arguments.kwarg)
                assert count <= 5, f"{path}:{node.lineno} {node.name}"


def test_search_makes_configurations_in_few_places():
    calls = [
        f"{path}:{node.lineno}"
        for path, tree in sources("search").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("build", "config.build")
    ]
    assert len(calls) <= 5, calls


def test_the_key_of_the_best_score_stands_in_few_files():
    holding = [path for path, tree in sources(*PACKAGES).items() if any("val/best" in text for text in literals(tree))]
    assert len(holding) <= 2, holding


def test_one_file_knows_the_names_in_a_run_folder():
    for path, tree in sources("search").items():
        if path == "search/record/names.py":
            continue
        parts = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)]
        in_paths = {text for part in parts for text in literals(part)}
        found = (in_paths | {text for text in literals(tree) if "." in text}) & RUN_FOLDER_NAMES
        assert not found, f"{path} names {found}"


# Pages


def test_the_picture_of_the_architecture_shows_the_code_as_it_is():
    assert architecture.OUTPUT.read_text() == architecture.picture(), "run `python -m lssat.tools.architecture`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page):
    """Paths from the root of the project, commands and links."""
    text = page.read_text()
    paths = re.findall(r"(?<![\w./-])((?:lssat|search|spaces|cluster|tests|docs)/[\w./*-]*\w)", text)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    missing = {path for path in paths if not list(ROOT.glob(path))}
    missing |= {link for link in links if not (page.parent / link).exists()}
    missing |= {name for name in re.findall(r"python -m ([a-z_]+[\w.]*)", text) if not runs(name)}
    assert not missing


def runs(name):
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()


@pytest.mark.parametrize("page", [path for path in PAGES if path.suffix == ".md"], ids=lambda page: page.name)
def test_prose_is_wrapped(page):
    """Tables, links and code may be longer."""
    is_code = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        is_code ^= line.startswith("```")
        free = is_code or line.startswith("|") or "](" in line
        assert free or len(line) <= 120, f"{page.name}:{number}"


def test_the_page_of_the_architecture_has_every_import_rule():
    text = (ROOT / "docs" / "architecture.md").read_text()
    missing = [name for name, contract in CONTRACTS.items() if f"| {contract['name']} | `{name}` |" not in text]
    assert not missing
