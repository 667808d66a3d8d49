"""A command that is killed has the last word all the same, and one that is not has none."""

import subprocess
import sys

import pytest

COMMAND = """
import os, signal, sys
from search.command_line.last_words import last_words
with last_words(lambda: "go on\\n", 1) as leave:
    if sys.argv[1] == "leaves":
        leave()
    if sys.argv[1] != "ends":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "said", "code"), [("dies", "go on\n", -9), ("leaves", "", -9), ("ends", "", 0)])
def test_the_last_words(how, said, code):
    done = subprocess.run([sys.executable, "-c", COMMAND, how], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode, done.stderr) == (said, code, "")
