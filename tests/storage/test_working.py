"""The folder in which a process works on what is kept at a URL, and what dead ones left."""

import os
import subprocess
import tempfile

import pytest

from lssat.storage import working
from lssat.storage.place import Place


@pytest.mark.parametrize(("of", "stays"), [("a dead process", False), ("this one", True), ("another machine", True)])
def test_only_what_dead_processes_of_this_machine_left_is_deleted(tmp_path, monkeypatch, of, stays):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    prefix = "lssat-work-elsewhere-" if of == "another machine" else working.PREFIX
    left = tmp_path / f"{prefix}{os.getpid() if of == 'this one' else dead.pid}-x"
    left.mkdir()
    with working.working_folder(Place.of("memory://x/working")) as folder:
        assert left.exists() == stays and folder.is_dir()
    assert not folder.exists()
