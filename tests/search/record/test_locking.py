"""A run folder belongs to one process, and nothing of somebody else's is deleted."""

import fcntl
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from search.record.folder import RunFolder
from search.record.locking import claimed, folder_name, locked
from search.space.file import load
from search.strategy.searcher import open_study

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
            assert list(folder.path.iterdir()) == [folder.beginning], "it is new"
            folder.log.write_text("noise")
            raise ConfigError("bad input")
    except ConfigError:
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


def test_whoever_looks_at_the_lock_in_that_moment_is_no_other_process_that_runs(tmp_path):
    """A dashboard asks whether a search runs: it holds the lock of a kill for as long as the look takes."""
    lock = tmp_path / ".s.lock"
    lock.touch()
    with lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with locked(RunFolder(tmp_path / "s")):
            pass


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
    with claimed(folder, resume=True, overwrite=False) as resumes:
        assert not resumes, "it is begun where there is nothing to go on with"
        begin(folder)
    with pytest.raises(ConfigError, match="--resume"), claimed(folder, resume=False, overwrite=False):
        pass
    with claimed(folder, resume=True, overwrite=False) as resumes:
        assert resumes


@pytest.mark.parametrize("name", ["thesis.tex", "log.txt", "manifest.json"])
@pytest.mark.parametrize("how", [(False, False), (False, True), (True, False)])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name, how):
    """Also where its file is called as one of ours is."""
    folder, (resume, overwrite) = RunFolder(tmp_path / "s"), how
    folder.path.mkdir()
    (folder.path / name).touch()
    with pytest.raises(ConfigError, match=re.escape(name)), claimed(folder, resume=resume, overwrite=overwrite):
        pass
    assert [path.name for path in folder.path.iterdir()] == [name]


NAMES = ["which one?x", "100%", "%41", "a#b", "[x]*", "{a}", "it's", 'a"b', "back\\slash", "~", "-x", "張三", " "]
PARENTS = [*NAMES, "a\nb", "not UTF-8 \udcd5"]


@pytest.mark.parametrize(
    ("parent", "name"), [*(("plain", name) for name in NAMES), *((parent, "plain") for parent in PARENTS)]
)
def test_a_study_lies_in_its_folder_whatever_that_is_called(tmp_path, parent, name):
    space = load(ROOT / "spaces/backbones.yaml", "laptop", {}, {})
    folder = RunFolder(tmp_path / parent / folder_name(name, Path("s.yaml"), DataConfig()))
    with claimed(folder, resume=False, overwrite=False):
        folder.manifest.write_text("{}")
        open_study(folder.study_db, name, space)
    assert sorted(path.name for path in folder.path.iterdir()) == ["manifest.json", "study.db"]
    assert [path.name for path in tmp_path.iterdir()] == [parent], "nothing lies beside it"
    with claimed(folder, resume=True, overwrite=False) as resumes:
        assert resumes and open_study(folder.study_db, name, space).study_name == name


def test_results_that_cannot_be_written_are_one_error(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "s", tmp_path / ("x" * 300) / "s"):
        with pytest.raises(ConfigError, match="--results"), claimed(RunFolder(path), resume=False, overwrite=False):
            pass


def test_a_name_is_short_enough_for_what_is_made_of_it():
    with pytest.raises(ConfigError, match="at most 190 bytes"):
        folder_name("張" * 64, Path("s.yaml"), DataConfig())


def test_whatever_a_study_that_never_began_has_made_is_left(tmp_path):
    folder = RunFolder(tmp_path / "s")
    with claimed(folder, resume=False, overwrite=False):
        (folder.path / "weights").touch()
    assert (folder.path / "weights").exists()
    with pytest.raises(ConfigError, match="weights"), claimed(folder, resume=False, overwrite=False):
        pass


def test_the_log_of_a_study_that_never_began_is_kept_where_nobody_said_why(tmp_path):
    folder = RunFolder(tmp_path / "s")
    with suppress(ValueError), claimed(folder, resume=False, overwrite=False):
        folder.log.write_text("a traceback")
        raise ValueError
    assert folder.log.read_text() == "a traceback"
    with claimed(folder, resume=False, overwrite=False):
        begin(folder)


def test_names(tmp_path):
    space = Path("spaces/backbones.yaml")
    assert folder_name(None, space, DataConfig()) == "backbones-emotion"
    assert folder_name("mine", space, DataConfig()) == "mine"
    assert len(folder_name(None, space, DataConfig(task="a" * 100))) <= 80
    for wrong in ("../x", "a/b", ".hidden", "a\nb", "\udcd5", ""):
        with pytest.raises(ConfigError, match="--name"):
            folder_name(wrong, space, DataConfig())
