"""The bench of the driver itself, of a study in miniature: every figure of the page is measured."""

import json
import subprocess
import sys

from tests.benchmarks.performance.record import ROOT
from tests.benchmarks.scaling.page import FIGURES


def test_a_study_in_miniature_gives_every_figure():
    words = [sys.executable, "-m", "tests.benchmarks.scaling.case", "20", "12"]
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    found = json.loads(done.stdout)
    assert FIGURES.keys() <= found.keys()
    assert all(found[name] > 0 for name in (*FIGURES, "open_files", "resident_bytes"))
