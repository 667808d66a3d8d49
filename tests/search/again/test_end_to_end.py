"""`--again` as a user types it: a trial that was stopped early and a run of the final stage, equal to the bit."""

import json
import shutil

import pytest

from tests.test_search_end_to_end import ROOT, command, leaderboard, run, table  # noqa: F401

WORDS = ["--again"]


def contents(folder):
    """Every file of a study, but for what was trained again."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in paths if "again" not in path.relative_to(folder).parts}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_any_row_again_is_equal_to_the_bit_or_says_where_it_parted(tmp_path, table):  # noqa: F811
    words = command(tmp_path, table, "--set", "search.scheduler=promotion", trials=4, epochs=3, finalists=1)
    done = run(words, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "results" / "small-noise-bright"
    before = contents(folder)
    stopped = next(row["trial"] for row in leaderboard(folder) if row["status"] == "stopped")
    final = sorted((folder / "finals").iterdir())[0].name

    def again(row, *more):
        done = run([words[0], ROOT / "search/run.py", "--again", f"{folder}#{row}", *more], tmp_path)
        assert contents(folder) == before, "the record is read, never written"
        return done

    done = again(stopped)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to the bit (the scheduler stopped it there, of 3)" in done.stdout
    shutil.rmtree(tmp_path / "results" / ".data")  # the data are prepared anew, and found to be the same
    done = again(final)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{folder.name}#{final}: equal in all 3 epochs, to the bit" in done.stdout
    assert (folder / "again" / "finals" / final / "best").is_dir()

    path = folder / "finals" / final / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["train/task_loss"] += 2**-40
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(manifest))
    before = contents(folder)
    done = again(final)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "parted in epoch 2: train/task_loss was" in done.stdout
    assert "what differs: recorded with torch 1.0, run with" in done.stdout

    shutil.rmtree(tmp_path / "results" / ".data")
    moved = table.rename(tmp_path / "moved.parquet")
    done = again(final)
    assert done.returncode == 2 and "the data of the study are gone" in done.stderr, done.stdout + done.stderr
    done = again(final, "--set", "optim.lr=1")
    assert done.returncode == 2 and "leave out `--set`" in done.stderr
    with moved.open("ab") as file:
        file.write(b"?")
    done = again(final, "--data", moved)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stdout + done.stderr
