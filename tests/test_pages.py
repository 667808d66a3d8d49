"""What README and docs say can be typed: every command is understood; every option, key and column exists."""

import functools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lssat.command import COMMANDS
from lssat.config import keys
from search.findings.final_table import CSV_COLUMNS
from search.findings.leaderboard import COLUMNS
from search.space.settings import SearchConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
KEYS = {*keys(), *(f"search.{name}" for name in SearchConfig.model_fields)}
SECTIONS = "|".join(sorted({key.partition(".")[0] for key in KEYS if "." in key}))
IMPOSSIBLE = ["--profile", "laptop", "--set", "no.such.key=1"]


def code(page):
    """What stands in a page as code: the lines of its blocks, and its inline spans, each in one line."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [*"".join(blocks).splitlines(), *(" ".join(span.split()) for span in spans)]
    return [line.removeprefix("RAY_AUTH_MODE=token ").removeprefix(".venv/bin/") for line in lines]


def commands():
    """The lines of all pages that call a command of the project with arguments."""
    lines = {line for page in PAGES for line in code(page) if "<" not in line}
    bare = (re.sub(r"\s#.*", "", line) for line in lines if called(line))  # `results/x#0007` is one word
    return sorted({shlex.join(shlex.split(line)) for line in bare})


def called(line):
    """The command of a line, where it has arguments."""
    return next((command for command in COMMANDS if line.startswith(f"{command} ")), None)


@functools.cache
def helped(command):
    words = [sys.executable, *command.split()[1:], "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", done.stdout))


@pytest.mark.parametrize("line", commands())
def test_a_command_is_understood(line, tmp_path):
    """It is typed where there are neither data nor results, and a new search is given an impossible setting. So it ends
    in the line that says so, and not in argparse's usage; `--help` alone ends well.
    """
    words = shlex.split(line)[1:]
    if "--help" not in words and words[0] == "search/run.py" and not re.search("manifest.json|--again", line):
        words += IMPOSSIBLE
    words = words if words[0] == "-m" else [str(ROOT / words[0]), *words[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    if "--help" in words:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert ("`no.such.key`" in done.stderr) == (words[-4:] == IMPOSSIBLE), done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_a_page_names_exists(page):
    """Of the command in its line, or of any, where none is called."""
    for line in code(page):
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line))
        if command := called(line):
            assert named <= helped(command), line
        elif line.startswith("--"):
            assert named <= set().union(*map(helped, COMMANDS)), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page):
    """`texture.lbp_*` stands for those that begin so."""
    for line in code(page):
        words = re.sub(r"python -m [\w.]+|[\w./-]*/[\w./*<>-]*", "", line)  # modules and paths
        for key in re.findall(rf"(?<![\w.-])((?:{SECTIONS})\.[a-z][a-z_0-9]*\*?)(?![\w/(])", words):
            assert [known for known in KEYS if known == key or (key[-1] == "*" and known.startswith(key[:-1]))], line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_of_make_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in code(page) if line.startswith("make ")} <= targets


def test_every_column_of_the_tables_is_explained():
    explained = set(code(ROOT / "docs" / "reading-the-result.md"))
    assert not {*COLUMNS, *CSV_COLUMNS} - explained


def test_every_page_is_opened_from_the_readme():
    links = set(re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text()))
    assert {page.relative_to(ROOT).as_posix() for page in PAGES[1:]} <= links


def test_the_cpu_build_has_the_versions_of_the_lock():
    lock = (ROOT / "requirements.lock").read_text().split()
    named = re.findall(r"torch\w*==[\d.]+", (ROOT / "docs" / "quickstart.md").read_text())
    assert len(named) == 2
    assert set(named) <= set(lock)
