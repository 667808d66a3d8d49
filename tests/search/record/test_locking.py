"""A run folder belongs to one process, and nothing of somebody else's is deleted."""

import subprocess
import sys
from pathlib import Path

import pytest

from lssat.config import ConfigError, DataConfig
from search.record.folder import RunFolder
from search.record.locking import claimed, folder_name

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys, time
from pathlib import Path
from search.record.locking import claimed
from search.record.folder import RunFolder
with claimed(RunFolder(Path(sys.argv[1])), resume=False, overwrite=False):
    print("held", flush=True)
    time.sleep(60)
"""


def begin(folder):
    """What tells that a study has begun."""
    folder.study_db.touch()
    folder.manifest.write_text("{}")


def never_begins(folder, overwrite):
    """A study whose input turns out to be bad."""
    try:
        with claimed(folder, resume=False, overwrite=overwrite):
            assert not list(folder.path.iterdir()), "it is new"
            folder.log.write_text("noise")
            raise ValueError
    except ValueError:
        return


def test_another_process_is_refused_until_the_first_is_gone_however_it_ends(tmp_path):
    folder = RunFolder(tmp_path / "s")
    with subprocess.Popen([sys.executable, "-c", HOLD, folder.path], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="another process"), claimed(folder, resume=False, overwrite=False):
            pass
        process.kill()
    with claimed(folder, resume=False, overwrite=False) as resumes:
        assert not resumes


def test_a_study_that_never_begins_leaves_nothing_behind(tmp_path):
    folder = RunFolder(tmp_path / "s")
    never_begins(folder, overwrite=False)
    assert not folder.path.exists()


def test_an_older_study_comes_back_where_the_new_one_never_begins(tmp_path):
    folder = RunFolder(tmp_path / "s")
    with claimed(folder, resume=False, overwrite=False):
        begin(folder)
        (folder.path / "mine").touch()
    never_begins(folder, overwrite=True)
    assert (folder.path / "mine").exists()
    with claimed(folder, resume=False, overwrite=True):
        begin(folder)
    assert not (folder.path / "mine").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from search.record.folder import RunFolder
from search.record.locking import claimed
with claimed(RunFolder(Path(sys.argv[1])), resume=False, overwrite=True) as _:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_before_the_new_study_begins_brings_the_older_one_back(tmp_path):
    folder = RunFolder(tmp_path / "s")
    with claimed(folder, resume=False, overwrite=False):
        begin(folder)
        (folder.path / "mine").touch()
    subprocess.run([sys.executable, "-c", KILLED, folder.path], cwd=ROOT, check=False)
    assert not (folder.path / "mine").exists()
    with claimed(folder, resume=True, overwrite=False) as resumes:
        assert resumes
        assert (folder.path / "mine").exists()
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["s"]


def test_a_begun_study_is_neither_begun_again_nor_taken_for_another(tmp_path):
    folder = RunFolder(tmp_path / "s")
    with pytest.raises(ConfigError, match="no study to resume"), claimed(folder, resume=True, overwrite=False):
        pass
    with claimed(folder, resume=False, overwrite=False):
        begin(folder)
    with pytest.raises(ConfigError, match="--resume"), claimed(folder, resume=False, overwrite=False):
        pass
    with claimed(folder, resume=True, overwrite=False) as resumes:
        assert resumes


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    folder = RunFolder(tmp_path / "s")
    folder.path.mkdir()
    (folder.path / "thesis.tex").touch()
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"thesis\.tex"), claimed(folder, resume=False, overwrite=overwrite):
            pass
    assert (folder.path / "thesis.tex").exists()


def test_names(tmp_path):
    space = Path("spaces/backbones.yaml")
    assert folder_name(None, space, DataConfig()) == "backbones-emotion"
    assert folder_name("mine", space, DataConfig()) == "mine"
    assert len(folder_name(None, space, DataConfig(task="a" * 100))) <= 80
    for wrong in ("../x", "a/b", ".hidden"):
        with pytest.raises(ConfigError, match="--name"):
            folder_name(wrong, space, DataConfig())
