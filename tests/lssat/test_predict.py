"""The command that asks a winner: every form of output, a killed process, files that cannot be answered."""

import csv
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.special import expit

import lssat
from lssat import command
from lssat.answers import answering, output
from lssat.answers.answering import Answering
from lssat.answers.explaining import explain
from lssat.answers.output import Journal, key_of
from lssat.bundle.exporting import add_test, export
from lssat.bundle.folder import CALIBRATION
from lssat.bundle.opening import open_bundle
from lssat.bundle.winner import Winner
from lssat.config import build
from lssat.data.images import UnusableImage
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import read_info, read_texts, shard_paths
from lssat.evaluation.units import RowTexts, of_videos
from lssat.predict import main
from lssat.task import Task
from lssat.train.scoring import predict_rows
from tests.lssat.data import trees
from tests.lssat.winners import ALONE, SIZE, train

ROOT = Path(__file__).resolve().parents[2]


def ask(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, words), "--device", "cpu"])
    return main()


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_command_writes_the_same_rows_in_every_form_and_names_what_it_cannot_read(
    tmp_path, monkeypatch, capsys, best, photos
):
    bad = tmp_path / "notes.jpg"
    bad.write_text("text")
    words = (best, photos, bad, tmp_path / "absent.png")
    for suffix in ("csv", "jsonl", "parquet"):
        assert ask(monkeypatch, *words, "--embed", "--out", tmp_path / f"out.{suffix}") == 0
    said = capsys.readouterr().err
    assert "20 files answered, 2 without an answer" in said and f"{bad}: not a JPEG or PNG image" in said
    lines = read(tmp_path / "out.jsonl")
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == lines
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == [line["source"] for line in lines]
    assert json.loads(rows[0]["embedding"]) == lines[0]["embedding"]
    found = lssat.load(best, "cpu").predict(sorted(photos.iterdir()))
    assert [line["label"] for line in lines[:20]] == found.labels
    np.testing.assert_allclose([line["p_yes"] for line in lines[:20]], found.probability[:, 1], atol=1e-6)
    assert [line["reason"] for line in lines[20:]] == ["not a JPEG or PNG image", "file not found"]
    assert ask(monkeypatch, *words, "--out", tmp_path / "out.csv") == 2


def test_without_an_output_file_rows_go_to_standard_output_and_all_else_does_not(monkeypatch, capsys, best, photos):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{photos / '03.png'}\n\n{photos / '01.png'}\n"))
    assert ask(monkeypatch, best, "-", photos / "0[12].png") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [Path(row["source"]).name for row in rows] == ["03.png", "01.png", "02.png"], "each once, in order"


def test_each_answer_has_a_picture_of_why_and_a_killed_command_leaves_none_out(tmp_path, monkeypatch, best, photos):
    (tmp_path / "more").mkdir()
    twin = shutil.copyfile(photos / "00.png", tmp_path / "more" / "00.png")
    bad = tmp_path / "notes.jpg"
    bad.write_text("text")
    words = (best, photos / "0[0-3].png", twin, bad, "--explain", tmp_path / "why", "--batch-size", 2)
    written, calls = output.write_whole, []

    def killed(path, write):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        written(path, write)

    monkeypatch.setattr(answering, "write_whole", killed)
    assert ask(monkeypatch, *words, "--out", tmp_path / "out.jsonl") == 130
    monkeypatch.undo()
    assert ask(monkeypatch, *words, "--out", tmp_path / "out.jsonl") == 0
    rows = read(tmp_path / "out.jsonl")
    assert rows[-1]["explained"] is None and rows[-1]["reason"]
    pictures = [Path(row["explained"]) for row in rows[:-1]]
    assert sorted((tmp_path / "why").iterdir()) == sorted(set(pictures)) and len(set(pictures)) == 5
    winner = lssat.load(best, "cpu")
    for row, picture in zip(rows[:-1], pictures, strict=True):
        (face,) = winner.open(Path(row["source"])).images
        assert picture.read_bytes() == explain(winner, face).png()


def test_without_the_library_that_says_where_a_network_looked_one_line_names_the_extra(
    tmp_path, monkeypatch, capsys, best, photos
):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert ask(monkeypatch, best, photos, "--explain", tmp_path / "why", "--out", tmp_path / "out.csv") == 2
    assert capsys.readouterr().err == "error: this needs captum, which the extra brings: pip install '.[explain]'\n"
    assert not (tmp_path / "why").exists() and not (tmp_path / "out.csv").exists()


def test_a_killed_command_goes_on_to_the_same_output(tmp_path, monkeypatch, capsys, best, photos):
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert ask(monkeypatch, best, photos, "--batch-size", 4, "--out", whole) == 0
    code = (
        "import os, sys\nfrom lssat.answers import output\nadd, done = output.Journal.add, []\n"
        "def stop(journal, rows):\n    add(journal, rows)\n    done.extend(rows)\n"
        "    if len(done) >= 8:\n        os.kill(os.getpid(), 9)\n"
        "output.Journal.add = stop\nfrom lssat.predict import main\nmain()"
    )
    words = [sys.executable, "-c", code, best, photos, "--batch-size", "4", "--out", out, "--device", "cpu"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True).returncode == -9
    assert not out.exists()
    with (tmp_path / ".out.jsonl.partial").open("a") as file:
        file.write('{"source": "torn')
    assert ask(monkeypatch, best, photos, "--embed", "--out", out) == 2, "other options"
    assert ask(monkeypatch, best, photos, "--batch-size", 4, "--out", out) == 0
    assert "8 files were answered before" in capsys.readouterr().err
    again, once = read(out), read(whole)
    assert [row["source"] for row in again] == [row["source"] for row in once]
    np.testing.assert_allclose([row["p_yes"] for row in again], [row["p_yes"] for row in once], atol=1e-6)
    assert not (tmp_path / ".out.jsonl.partial").exists()


@pytest.fixture
def begun(tmp_path, best, photos):
    """An output of which the rows of five photos are there."""
    winner = lssat.load(best, "cpu")
    journal = Journal(tmp_path / "out.jsonl", {"winner": winner.bundle.digest, "embed": False})
    assert journal.rows() == {}
    rows = ({"source": str(path), "label": "before", "reason": ""} for path in sorted(photos.iterdir())[:5])
    journal.add({key_of(Path(row["source"])): row for row in rows})
    return tmp_path / "out.jsonl"


def test_an_output_that_another_winner_began_is_refused(tmp_path, monkeypatch, capsys, begun, data, photos):
    """Though its settings and labels are the same, and so may be its temperature: the weights are others."""
    settings = {"backbone.name": "test_vit", "backbone.patch_size": 8, "optim.lr": 1e-9}
    export(train(tmp_path / "run", data, **settings), tmp_path / "best", data)
    assert ask(monkeypatch, tmp_path / "best", photos, "--out", begun) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "was begun with another winner or other options; delete it" in said
    assert not begun.exists()


def test_the_digest_of_a_winner_is_of_its_weights_and_not_of_what_is_said_of_it(tmp_path, data):
    digests = []
    for seed in (0, 1):
        export(train(tmp_path / f"run{seed}", data, seed=seed), tmp_path / "best", data)
        digests.append(open_bundle(tmp_path / "best").digest)
        add_test(tmp_path / "best", {"metric": "auc", "score": 0.5, "interval": None, "interval_why": "too few"})
        assert open_bundle(tmp_path / "best").digest == digests[-1]
    assert digests[0] != digests[1]


def test_an_output_that_is_gone_on_with_holds_the_files_that_are_asked_about_now(monkeypatch, begun, best, photos):
    assert ask(monkeypatch, best, photos / "07.png", photos / "02.png", "--out", begun) == 0
    rows = read(begun)
    assert [Path(row["source"]).name for row in rows] == ["07.png", "02.png"]
    assert rows[1]["label"] == "before" != rows[0]["label"]


def test_a_row_that_was_written_is_of_the_file_and_not_of_the_name_that_was_typed(tmp_path, monkeypatch, best, photos):
    """The same name elsewhere, or with other content, is another file; another name of the same file is the same."""
    folder, out = tmp_path / "a", tmp_path / "out.jsonl"
    shutil.copytree(photos, folder)
    shutil.copytree(photos, tmp_path / "b")
    journal = Journal(out, {"winner": lssat.load(best, "cpu").bundle.digest, "embed": False})
    journal.rows()
    journal.add({key_of(folder / f"0{n}.png"): {"source": "", "label": "before", "reason": ""} for n in range(3)})
    (folder / "01.png").write_bytes((photos / "07.png").read_bytes())
    monkeypatch.chdir(tmp_path / "b")
    names = ["../a/../a/00.png", str(folder / "01.png"), "00.png", "../a/02.png"]
    assert ask(monkeypatch, best, *names, "--out", out) == 0
    assert [(row["source"], row["label"] == "before") for row in read(out)] == list(
        zip(names, (True, False, False, True), strict=True)
    )


def test_an_output_that_another_process_writes_is_refused_in_a_sentence(tmp_path, monkeypatch, capsys, best, photos):
    with Journal(tmp_path / "out.csv", {}).alone():
        assert ask(monkeypatch, best, photos, "--out", tmp_path / "out.csv") == 2
    said = capsys.readouterr().err
    assert f"error: another process writes `{tmp_path / 'out.csv'}`; wait for it" in said and said.count("\n") == 1
    assert ask(monkeypatch, best, photos, "--out", tmp_path / "out.csv") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("content", ["", '{"question": "to'])
def test_a_journal_without_a_whole_line_is_begun_anew(tmp_path, monkeypatch, best, photos, content):
    (tmp_path / ".out.csv.partial").write_text(content)
    assert ask(monkeypatch, best, photos / "00.png", "--out", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").exists()


FULL = """
import resource, signal, sys
from lssat.predict import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
sys.exit(main())
"""


@pytest.mark.parametrize(("room", "out"), [(0, "out.csv"), (1000, "out.csv"), (6000, "out.parquet")])
def test_where_there_is_no_room_one_line_says_so_and_the_same_command_goes_on(
    tmp_path, monkeypatch, best, photos, room, out
):
    """Neither for the journal's first line, nor its rows, nor for the table."""
    words = [best, photos, "--batch-size", "4", "--out", tmp_path / out, "--device", "cpu"]
    if out == "out.parquet":
        words.append("--embed")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(room), *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "make room, and the same command goes on" in last
    assert not (tmp_path / out).exists()
    assert ask(monkeypatch, *words[:-2] if "--embed" not in words else [*words[:-3], "--embed"]) == 0
    assert (tmp_path / out).exists()


def test_a_list_on_standard_input_may_hold_names_that_are_not_text(tmp_path, best, photos):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(path)).write_bytes((photos / "00.png").read_bytes())
    words = [sys.executable, "-m", "lssat.predict", best, "-", "--device", "cpu"]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(words, cwd=ROOT, env=strict, input=path + b"\n", capture_output=True)
    assert done.returncode == 0, done.stderr
    assert rb"caf\xe9.png,yes" in done.stdout or rb"caf\xe9.png,no" in done.stdout


def test_the_bundle_may_be_the_folder_that_one_is_in(tmp_path, monkeypatch, capsys, best, photos):
    for place, name in ((best, "."), (best.parent, "best/..//best")):
        monkeypatch.chdir(place)
        assert ask(monkeypatch, name, photos / "00.png") == 0
        assert "00.png" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch, capsys, best):
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "closed").chmod(0)
    assert ask(monkeypatch, best, tmp_path / "in") == 2
    assert f"error: the folder `{tmp_path / 'in' / 'closed'}` cannot be read (Perm" in capsys.readouterr().err


def test_an_answer_is_that_of_the_winner_however_extreme_its_logits_are(best, photos):
    """A photo's are not clipped before the temperature divides them."""
    winner = lssat.load(best, "cpu")
    winner = Winner(replace(winner.bundle, temperature=40.0), winner.device, 64)
    path = photos / "00.png"
    with torch.no_grad():
        for scale in (1.0, 1e3, 1e6):
            winner.bundle.model.head.weight.fill_(scale)
            winner.bundle.model.head.bias.fill_(scale * 100)
            ((row,),) = Answering(winner, False)._answers([path])
            wanted = winner.predict(path)
            assert abs(wanted.logits).max() > 27 or scale == 1.0
            assert [row["p_no"], row["p_yes"]] == wanted.probability[0].tolist()


def deep(path):
    """16-bit grey."""
    Image.fromarray((np.arange(48 * 48).reshape(48, 48) * 20).astype(np.uint16)).save(path)


def turned(path):
    """A photo whose EXIF says that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.arange(48 * 40 * 3, dtype=np.uint32).reshape(48, 40, 3).astype(np.uint8)).save(path, exif=exif)


def bomb(path):
    """20,000 x 20,000 pixels, as its header has it."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + buffer.getvalue()[24:29]
    path.write_bytes(buffer.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + buffer.getvalue()[33:])


def too_much_text(path):
    """A PNG whose comment unpacks to far more than it is."""
    info = PngInfo()
    info.add_text("c", "x" * 200_000_000, zip=True)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)


FILES = {  # a name, who writes it, and the reason why there is no answer
    "dot.png": (lambda path: Image.new("RGB", (1, 1)).save(path), ""),
    "deep.png": (deep, ""),
    "turned.jpg": (turned, ""),
    "huge.png": (bomb, "decompression bomb refused"),
    "text.jpg": (lambda path: path.write_text("not a picture"), "not a JPEG or PNG image"),
    "empty.jpg": (Path.touch, "no image bytes"),
    "picture.gif": (lambda path: Image.new("RGB", (8, 8)).save(path), "not a JPEG or PNG image"),
    "cut.png": (lambda path: (deep(path), path.write_bytes(path.read_bytes()[:90])), "damaged image"),
    "words.png": (too_much_text, "damaged image"),
    "folder.jpg": (Path.mkdir, "holds no photos or videos"),
    "circle.jpg": (lambda path: path.symlink_to(path), "cannot be read"),
    "empty.mp4": (Path.touch, "empty file"),
    "x" * 300 + ".jpg": (lambda path: None, "cannot be read"),
    "x" * 300 + ".mp4": (lambda path: None, "cannot be read"),
    "text.mp4": (lambda path: path.write_text("not a video" * 50), "damaged video"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_answered_by_the_rules_of_training_or_by_its_reason(tmp_path, monkeypatch, capsys, best, name):
    write, reason = FILES[name]
    path, out = tmp_path / name, tmp_path / "out.jsonl"
    write(path)
    code = ask(monkeypatch, best, path, "--out", out)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if name == "folder.jpg":
        assert code == 2 and said.startswith("error: ") and reason in said
        return
    (row,) = read(out)
    assert code == 0 and reason in row["reason"] and bool(row["label"]) == (not reason)
    assert not reason or row["reason"] in said


def test_names_that_are_not_text_are_written_as_everywhere(tmp_path, monkeypatch, best, photos):
    path = Path(str(tmp_path / "caf\udce9.png"))
    path.write_bytes((photos / "00.png").read_bytes())
    for suffix in ("csv", "jsonl", "parquet"):
        assert ask(monkeypatch, best, path, "--out", tmp_path / f"out.{suffix}") == 0
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert row["source"].endswith(r"caf\xe9.png") and row["label"]
    assert read(tmp_path / "out.jsonl") == [row]


MISTAKES = {
    "no bundle": (lambda folder, best: [folder, "a.jpg"], "is no bundle of a winner; give the folder `best/` of a run"),
    "an absent bundle": (lambda folder, best: [folder / "x", "a.jpg"], "is no bundle of a winner"),
    "a folder without photos": (lambda folder, best: [best, folder], "holds no photos or videos (.jpg"),
    "a pattern without files": (lambda folder, best: [best, folder / "*.jpg"], "no file matches `"),
    "an empty list": (lambda folder, best: [best, "-"], "the list on standard input names no file"),
    "another ending": (lambda folder, best: [best, "a.jpg", "--out", folder / "a.txt"], "`--out` must end in .csv"),
    "no place": (
        lambda folder, best: [best, "a.jpg", "--out", best / "bundle.json" / "a.csv"],
        "; name another `--out`",
    ),
    "no batch": (lambda folder, best: [best, "a.jpg", "--batch-size", "0"], "`batch_size >= 1` must hold, but got 0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capsys, best, mistake):
    words, reason = MISTAKES[mistake]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert ask(monkeypatch, *words(tmp_path, best)) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and reason in said and said.count("\n") == 1


def test_help_comes_at_once():
    def seconds():
        begun = time.monotonic()
        words = [sys.executable, "-m", "lssat.predict", "--help"]
        assert b"SOURCE" in subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
        return time.monotonic() - begun

    assert min(seconds() for _ in range(3)) < 0.5


def test_a_video_is_answered_as_it_is_scored_with_the_faces_of_training(tmp_path, monkeypatch, capsys):
    """Found, cut out and averaged as evaluation has it, then divided by the temperature of the validation videos."""
    source = trees.celebdf(tmp_path / "data", length=2)
    data = build({"data.source": f"celebdf:{source}", "data.allow_leaks": True, "data.max_rejects": 0.2}).data
    prepared = prepare(data, tmp_path / "cache", lambda _: None)
    info = read_info(prepared)
    task = Task(info.task, info.kind, info.classes, (1, 1), 2)
    export(train(tmp_path / "run", prepared, task, **{"optim.precision": "float32"}), tmp_path / "best", prepared)
    bundle, texts = open_bundle(tmp_path / "best"), read_texts(prepared, "test")
    found, order = predict_rows(bundle.config, bundle.model, read_resident(shard_paths(prepared, "test"), SIZE), ALONE)
    videos, known = of_videos(found, RowTexts.of_columns(texts).of(order))

    names = [f"{video}.mp4" for video in known.video]
    assert {row.split("/")[0] for row in names} == {"Celeb-real", "Celeb-synthesis", "YouTube-real"}
    assert ask(monkeypatch, tmp_path / "best", *(source / name for name in names), "--out", tmp_path / "o.jsonl") == 0
    rows = read(tmp_path / "o.jsonl")
    assert capsys.readouterr().err.startswith("answered 0/"), "no note: the detector is that of training"
    assert [row["label"] for row in rows] == [task.classes[int(logit > 0)] for logit in videos.logits[:, 0]]
    calibrated = expit(videos.logits[:, 0] / bundle.temperature)
    np.testing.assert_allclose([row["p_fake"] for row in rows], calibrated, atol=1e-6)
    assert [row["frames"] for row in rows] == [int((texts["video"] == video).sum()) for video in known.video]
    kept = json.loads((tmp_path / "best" / CALIBRATION).read_text())
    assert (kept["of"], kept["units"]) == ("videos", len(set(read_texts(prepared, "val")["video"])))
    with pytest.raises(UnusableImage, match=r"is a video; `python -m lssat.predict` answers"):
        lssat.load(tmp_path / "best", "cpu").predict(source / names[0])
