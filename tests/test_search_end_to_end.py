"""The command line as a user types it, on a small space and little images of its own."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
from PIL import Image
from rich.cells import cell_len
from safetensors.numpy import load_file
from safetensors.torch import save_file

from lssat.evaluation.metrics import one_score
from search.findings.picture import draw
from search.findings.scored_runs import scored_runs
from search.record.folder import RunFolder, Stage
from search.record.predictions import read
from search.record.trials import Status

ROOT = Path(__file__).resolve().parents[1]
SPACE = """
fixed:
  data.image_size: 32
  masking.unit: 8
  optim.epochs: {epochs}
  optim.batch_size: 16
  decoder.dim: 32
  optim.lr: 2e-3
space:
  backbone.name: [test_vit, test_convnext]
  backbone.patch_size: {{choices: [8], when: {{backbone.name: [test_vit]}}}}
  streams: [MRGB/RRGB/CRGB, MRGB/RLDP/CRGB]
  aux_weight: {{low: 0.1, high: 0.5}}
  masking.ratio: [0.6, 0.75]
{also}search: {{num_trials: {trials}, grace_epochs: 1, reduction_factor: 2, finalists: {finalists}, final_seeds: 2}}
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Bright and dark noise, two frames of each video: learnable at once."""
    random = np.random.default_rng(0)
    rows = {"image": [], "bright": [], "deepfake": [], "video": [], "split": []}
    for split, number in (("train", 97), ("val", 33), ("test", 30)):
        for index in range(number):
            pixels = random.integers(0, 120, (32, 32, 3)) + 110 * (index % 2)
            out = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
            rows["image"].append(out.getvalue())
            rows["bright"].append(index % 2)
            rows["deepfake"].append(index % 2)
            rows["video"].append(f"{split} {index // 4} {index % 2}")
            rows["split"].append(split)
    path = tmp_path_factory.mktemp("data") / "noise.parquet"
    pq.write_table(pa.table(rows), path)
    return path


@pytest.fixture(autouse=True)
def interruptible():
    """A shell that runs the tests in the background makes them, and all they start, deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def command(tmp_path, table, *more, trials=4, epochs=3, also="", finalists=0):
    """`also`: further lines of the section `space`."""
    space = tmp_path / "small.yaml"
    space.write_text(SPACE.format(trials=trials, epochs=epochs, also=also, finalists=finalists))
    return [
        sys.executable,
        ROOT / "search/run.py",
        "--space",
        space,
        "--data",
        table,
        "--task",
        "bright",
        "--results",
        tmp_path / "results",
        *more,
    ]


def run(words, cwd):
    """From a folder that is not the project's."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, timeout=280, env=environment)


def weights(tmp_path):
    """A folder with a file for each backbone of the space."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, file in {"test_vit": "test_vit.mine", "test_convnext": "test_convnext"}.items():
        save_file(timm.create_model(name).state_dict(), folder / f"{file}.safetensors")
    return f"{folder}/"


def leaderboard(folder):
    with (folder / "leaderboard.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("finalists", [0, 1])
def test_a_winner_whose_checkpoint_is_damaged_is_trained_again(tmp_path, table, finalists):
    """Of the search and of the final stage: before the test split is opened, to the same weights and scores.

    Here a part of each backbone learns, from weights of its own.
    """
    also = f"  backbone.pretrained: [{weights(tmp_path)}]\n  optim.tune: [norms, last_2]\n"
    words = command(tmp_path, table, trials=2, epochs=2, finalists=finalists, also=also)
    done = run(words, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "results" / "small-noise-bright"
    kept, ranked = load_file(folder / "best" / "weights.safetensors"), leaderboard(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {each["architecture"]: Path(each["file"]).name for each in manifest["first_weights"]}
    assert files == {"test_vit": "test_vit.mine.safetensors", "test_convnext": "test_convnext.safetensors"}
    assert all(0 < float(row["learning"]) < 1 and row["pretrained"] == "weights/" for row in ranked)
    name = manifest["test_opened"][0]["chosen"]
    record = folder / ("finals" if finalists else "trials") / name
    metrics = (record / "metrics.jsonl").read_text()
    tensors = next((record / "best").glob("tensors-*"))
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"?")
    shutil.rmtree(folder / "best")
    done = run([*words, "--resume"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name} is trained again" in done.stdout
    again = load_file(folder / "best" / "weights.safetensors")
    assert all(np.array_equal(kept[key], again[key]) for key in kept)
    assert (record / "metrics.jsonl").read_text() == metrics, "no epoch is recorded twice"
    assert [{**row, "seconds": ""} for row in leaderboard(folder)] == [{**row, "seconds": ""} for row in ranked]
    assert "is trained again" not in run([*words, "--resume"], tmp_path).stdout


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_search_leaves_everything(tmp_path, table):
    done = run(command(tmp_path, table, finalists=1), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Leaderboard" in done.stdout
    assert "Final stage" in done.stdout
    assert "winner" in done.stdout
    for noise in ("pid=", "Traceback", "DeprecationWarning", "INFO"):
        assert noise not in done.stdout + done.stderr
    folder = tmp_path / "results" / "small-noise-bright"
    assert done.stdout.splitlines()[-1].split() == ["report", "results/small-noise-bright/report.html"]
    assert "Take " in next(said["text"] for said in json.loads((folder / "report.json").read_text())["claims"])
    assert "report.py results/small-noise-bright --watch" in done.stdout
    rows = leaderboard(folder)
    assert len(rows) == 4
    assert rows[0]["status"] == "complete"
    assert not any(row["test"] for row in rows), "the final stage has other seeds than the trials"
    assert {row["masking.ratio"] for row in rows} <= {"0.6", "0.75"}
    assert {row["backbone"] for row in rows} == {"test_vit", "test_convnext"}
    whole = {row["backbone"] for row in rows if row["status"] == "complete"}
    speeds = json.loads((folder / "speeds.json").read_text())
    assert sorted(line["network"]["backbone"] for line in speeds) == sorted(whole), "each is measured once"
    assert all(int(row["flops"]) and bool(row["images_per_s"]) == (row["backbone"] in whole) for row in rows)
    with (folder / "finals.csv").open() as file:
        finals = list(csv.DictReader(file))
    assert [row["arm"] for row in finals].count(f"{rows[0]['trial']}-supervised") == 1
    manifest = json.loads((folder / "manifest.json").read_text())
    (opening,) = manifest["test_opened"]
    assert len(opening["results"]) == 4, "every finalist with every seed, once"
    _check_numbers(done.stdout, folder, finals, opening)
    _check_predictions(RunFolder(folder), opening)
    assert manifest["versions"]["ray"]
    for name in ("weights.safetensors", "config.json", "labels.json", "preprocessing.json"):
        assert (folder / "best" / name).exists()
    _check_tensorboard(folder / "tensorboard" / "search" / f"{rows[0]['trial']} {rows[0]['backbone']}")
    draw(RunFolder(folder), tmp_path / "tables.svg")
    drawn = (tmp_path / "tables.svg").read_text().replace("&#160;", " ")
    assert all(
        text in drawn
        for text in (
            "Leaderboard (ranked on validation)",
            "Final stage",
            *(f"{float(row['score']):.4f}" for row in rows if row["score"]),
        )
    )
    again = run(command(tmp_path, table), tmp_path)
    assert again.returncode == 2
    assert "--resume" in again.stderr


def _check_numbers(output, folder, finals, opening):
    """Those of the last screen, the final table, the scorecard and the record of test are one."""
    for row in finals:
        tested = [
            result["balanced_accuracy"]
            for name, result in opening["results"].items()
            if name.rpartition("-seed")[0] == row["arm"]
        ]
        assert float(row["test"]) == pytest.approx(sum(tested) / 2)
    said = output[output.index("winner: ") :].splitlines()
    first, kept = said[:2]
    assert f"winner: {finals[0]['arm']}, {finals[0]['backbone']}, balanced_accuracy" in first
    numbers = [f"{float(finals[0][name]):.4f}" for name in ("mean", "test")]
    assert re.findall(r"\d+\.\d{4}", first) == numbers
    assert output.count(numbers[0]) > 1 and output.count(numbers[1]) > 1, "in the table, too"
    card = json.loads((folder / "best" / "test.json").read_text())
    assert f"({opening['chosen']})" in kept and f"with {card['score']:.4f} on test" in " ".join(said[1:3])
    assert opening["results"][opening["chosen"]] == card


def _check_predictions(folder, opening):
    """Of each complete run those of the validation rows, and of each that was scored on test of those."""
    for stage in (Stage.SEARCH, Stage.FINAL):
        records = folder.records(stage)
        whole = [record for record in records if record.status == Status.COMPLETE]
        runs = scored_runs(folder, stage, {record.name: (record.name, record.config.seed) for record in records})
        assert (runs.lacking, len(runs.scores), runs.units) == ("", len(whole), 17), "33 rows are frames of 17 videos"
        assert runs.scores == pytest.approx([record.last.best for record in whole], abs=1e-6)
        assert all(record.predictions("val").exists() == (record in whole) for record in records)
    for record in whole:
        kept = read(record.predictions("test"))
        assert (kept.about.split, len(kept.predictions.labels)) == ("test", 30)
        score = one_score("binary", "balanced_accuracy", *kept.predictions)
        assert score == pytest.approx(opening["results"][record.name]["balanced_accuracy"])


def _check_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()
    for tag in (
        "loss/train/task_loss",
        "loss/train/reconstruction_loss",
        "rate/train/lr",
        "speed/train/images_per_s",
        "score/val/best",
        "score/val/balanced_accuracy",
    ):
        assert len(events.Scalars(tag)) >= 3, tag
    assert [image.step for image in events.Images("validation reconstruction")] == [1, 2, 3]
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "config", "total/epochs"} <= {*tags["tensors"]}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_pseudo_terminal_of_80_columns_shows_the_study_alone_and_every_line_of_it_fits(tmp_path, table):
    """What Ray prints goes to the log, without colours, and a good end leaves nothing of Ray and no lock."""
    one = ["--set", "backbone.name=test_convnext", "--set", "streams=MRGB/RRGB/CRGB"]
    code, shown = run_in_terminal(command(tmp_path, table, *one, trials=1, epochs=2, finalists=1), tmp_path)
    assert code == 0, shown
    for of_ray in ("pid=", "Dataset", "local mode", "INFO", "WARNING", "Traceback"):
        assert of_ray not in shown, shown
    display = [line for line in shown.splitlines() if re.search(r"epochs|trials over|runs over|epoch |starting", line)]
    assert len(display) > 8 and max(map(cell_len, display)) <= 80
    counted = [tuple(map(int, found)) for found in re.findall(r"(\d+) of (\d+) epochs", shown)]
    assert counted == sorted(counted), "it never steps back"
    assert counted[-1] == (10, 10), "one trial, one finalist, its baseline, two seeds"
    assert "left" not in shown.rpartition("10 of 10 epochs")[2].partition("\n")[0]
    folder = tmp_path / "results" / "small-noise-bright"
    log = folder.joinpath("log.txt").read_text()
    assert "\x1b" not in log and "Error" not in log and "pid=" in log, log
    assert stat.S_IMODE((folder / "best" / "weights.safetensors").stat().st_mode) == 0o644
    assert [path.name for path in folder.glob(".*")] == []
    assert [path.name for path in folder.parent.glob(".*")] == [".data"]


def run_in_terminal(words, cwd):
    """In a pseudo-terminal of 80x24: the exit code, and all that was ever shown, but for what moves the cursor."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), inside)
    received = b""
    with subprocess.Popen(
        list(map(str, words)), cwd=cwd, env={**os.environ, "TERM": "xterm"}, umask=0o022, **streams
    ) as process:
        os.close(inside)
        with contextlib.suppress(OSError):  # what a terminal says whose process has ended
            while part := os.read(terminal, 1 << 16):
                received += part
    os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", received.decode(errors="replace"))
    return process.returncode, re.sub(r"[\r\n]+", "\n", text)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_trial_that_fails_fails_alone(tmp_path, table):
    """Such a weight decay makes weights and loss overflow: those trials fail with a reason, the others go on."""
    also = "  optim.weight_decay: [0.05, 1e38]\n"
    done = run(command(tmp_path, table, trials=5, epochs=2, also=also), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = leaderboard(tmp_path / "results" / "small-noise-bright")
    by_status = {row["status"] for row in rows}
    assert by_status >= {"complete", "failed"}
    assert all("NonFiniteLoss" in row["reason"] for row in rows if row["status"] == "failed")
    assert len(rows) == 5


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_study_is_finished_by_resume(tmp_path, table, how):
    words = list(map(str, command(tmp_path, table, trials=4, epochs=6)))
    folder = tmp_path / "results" / "small-noise-bright"
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        deadline = time.time() + 120
        while time.time() < deadline and not list(folder.glob("trials/*/outcome.json")):
            time.sleep(0.2)
        finished = {path.parent.name: path.read_text() for path in folder.glob("trials/*/outcome.json")}
        assert finished, "no trial finished within two minutes"
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does: Ray's processes hear it too
        else:
            process.send_signal(how)
        output, _ = process.communicate(timeout=60)
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how
        assert "--resume" in output
        assert (folder / "report.html").exists() and output.splitlines()[-1].endswith("report.html")
    before = {name: (folder / "trials" / name / "metrics.jsonl").read_text() for name in finished}
    done = run([*words, "--resume"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = leaderboard(folder)
    assert len(rows) == 4
    assert {row["status"] for row in rows} <= {"complete", "stopped"}
    for name, text in before.items():
        assert (folder / "trials" / name / "metrics.jsonl").read_text() == text, "a finished trial was run again"
    assert len(json.loads((folder / "manifest.json").read_text())["sessions"]) == 2


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_study_of_an_odd_name_that_was_terminated_moved_and_renamed_is_finished_by_the_same_line(tmp_path, table):
    """As a scheduler does it: SIGTERM at the end of a job; the next one has the data in a scratch folder of its own."""
    data = tmp_path / "scratch 1" / table.name
    data.parent.mkdir()
    data.write_bytes(table.read_bytes())
    name = "which one?x %41 [z]#é"
    words = list(map(str, command(tmp_path / "scratch 1", data, "--resume", trials=2, epochs=25)))
    words[words.index("--results") + 1 : words.index("--resume")] = [
        str(tmp_path / name),
        "--name",
        name,
        "--set",
        "search.scheduler=none",
    ]
    folder = RunFolder(tmp_path / name / name)
    tag = {"LSSAT_TEST": str(tmp_path)}
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **tag}
    ) as process:
        deadline = time.time() + 120
        while time.time() < deadline and not list(folder.path.glob("trials/0001/metrics.jsonl")):
            time.sleep(0.2)
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, "--resume" in output) == (143, True), output
    assert not _processes_with(tag), "no process is left over"
    before = (folder.path / "trials" / "0000" / "metrics.jsonl").read_text()
    folder.path.rename(folder.path.with_name("renamed"))
    data.parent.rename(tmp_path / "scratch 2")
    words[words.index("--data") + 1] = str(tmp_path / "scratch 2" / table.name)
    words[words.index("--space") + 1] = str(tmp_path / "scratch 2" / "small.yaml")
    words[words.index("--name") + 1] = "renamed"
    folder = RunFolder(tmp_path / name / "renamed")
    for said in ("winner", "all 2 trials of the search are over"):
        done = run(words, tmp_path)
        assert (done.returncode, said in done.stdout) == (0, True), done.stdout + done.stderr
    assert [row["status"] for row in leaderboard(folder.path)] == ["complete"] * 2
    assert (folder.path / "trials" / "0000" / "metrics.jsonl").read_text().startswith(before)
    assert len({row["config_hash"] for row in leaderboard(folder.path)}) == 2
    assert not folder.beginning.exists()
    assert {item.name for item in tmp_path.iterdir()} == {"scratch 2", name}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_is_ended_while_ray_starts_leaves_no_process_and_no_folder(tmp_path, table, how, code):
    tag = {"LSSAT_TEST": str(tmp_path)}
    with subprocess.Popen(
        list(map(str, command(tmp_path, table))), cwd=tmp_path, env={**os.environ, **tag},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    ) as process:  # fmt: skip
        deadline = time.time() + 120
        while time.time() < deadline and not any("gcs_server" in words[0] for words in _found_with(tag)):
            time.sleep(0.05)
        for _ in range(2):
            process.send_signal(how)
            time.sleep(0.5)
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, "the same command begins it" in output) == (code, True), output
    assert not _processes_with(tag), "no process is left over"
    assert {path.name for path in (tmp_path / "results").glob("[!.]*/*")} == {".beginning", "log.txt"}


def _processes_with(tag):
    """Those that still carry these variables in their environment, once all have had the time to end."""
    time.sleep(2)
    return _found_with(tag)


def _found_with(tag):
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if tag.items() <= process.environ().items():
                found.append(process.cmdline() or [""])
    return found


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_running_study_is_left_alone_and_listens_to_this_machine_alone(tmp_path, table):
    words = list(map(str, command(tmp_path, table, trials=2, epochs=2000)))
    folder = tmp_path / "results" / "small-noise-bright"
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.time() + 120
            while time.time() < deadline and not list(folder.glob("trials/*/metrics.jsonl")):
                time.sleep(0.2)
            for how in ("--resume", "--overwrite"):
                second = run([*words, how], tmp_path)
                assert (second.returncode, "another process" in second.stderr) == (2, True), second.stderr
            processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            listening = {
                (p.name(), c.laddr.ip) for p in processes for c in p.net_connections() if c.status == psutil.CONN_LISTEN
            }
            assert process.poll() is None
        finally:
            process.kill()
    assert {ip for _, ip in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening
    assert len(listening) > 3, "Ray's own processes listen"


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize(("num_workers", "trainer_name"), [(1, "ImplicitFunc"), (2, "RayTrainWorker")])
def test_a_trial_whose_process_is_killed_goes_on_from_its_last_epoch(tmp_path, table, num_workers, trainer_name):
    """The trial's own process where it trains alone, one of its workers where it has several."""
    pins = ["--set", "backbone.name=test_convnext", "--set", f"resources.num_workers={num_workers}"]
    words = list(map(str, command(tmp_path, table, *pins, trials=1, epochs=16)))
    metrics = tmp_path / "results" / "small-noise-bright" / "trials" / "0000" / "metrics.jsonl"
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for num_epochs in (2, 5, 8):  # more deaths than are forgiven, each after new epochs
            _wait_for_epochs(metrics, num_epochs)
            trainers = _descendants(process, trainer_name)
            assert len(trainers) == num_workers
            trainers[0].kill()
        saved = _checkpoints_until_the_end(process, metrics.parent / "last" / "state.json")
    assert process.returncode == 0, saved
    assert len(set(saved)) > 2, "the checkpoint was looked at often enough"
    assert saved == sorted(saved), "epochs were trained again, which writes their checkpoints again"
    assert [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] == list(range(1, 17))
    assert leaderboard(metrics.parents[2])[0]["status"] == "complete"


def _wait_for_epochs(metrics, num_epochs):
    deadline = time.time() + 120
    while time.time() < deadline and not (metrics.exists() and metrics.read_text().count("\n") >= num_epochs):
        time.sleep(0.05)


def _descendants(process, name):
    """The processes below one whose command says `name`, those that are just dying left out."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if name in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def _checkpoints_until_the_end(process, state):
    """The epochs of the checkpoints of a run, in the order in which they were seen, until the command ends."""
    seen, deadline = [], time.time() + 200
    while process.poll() is None and time.time() < deadline:
        with contextlib.suppress(OSError, ValueError):  # it is dropped when the run is over
            seen.append(json.loads(state.read_text())["state"]["result"]["epoch"])
        time.sleep(0.02)
    process.communicate(timeout=5)
    return seen


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--set", "optim.lrr=1"], ["optim.lrr", "optim.lr"]),
        (["--set", "masking.ratio=1.2"], ["masking.ratio", "1.2"]),
        (["--set", "optim.lr=fast"], ["optim.lr", "'fast'"]),
        (["--set", "backbone.family=resnot", "--set", "backbone.size=atto"], ["resnot", "resnet"]),
        (["--set", "optim.lr"], ["KEY=VALUE"]),
        (["--task", "brigth"], ["brigth", "bright"]),
        (["--data", "nowhere.csv"], ["nowhere.csv"]),
        (["--space", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--num-trials", "0"], ["num_trials", "0"]),
        (["--profile", "laptop", "--name", "../x"], ["--name"]),
        (["--extend", "2"], ["no study to extend"]),
        (["--set", "resources.num_workers=64", "--set", "optim.batch_size=64"], ["num_workers"]),
        (["--classes", "0"], ["class"]),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path, table, change, parts):
    words = command(tmp_path, table, *change)
    if "backbone.family=resnot" in change:
        words[3] = ROOT / "spaces" / "backbones.yaml"
    done = run(words, tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert said.count("error:") == 1
    for part in parts:
        assert part in said
    assert not list((tmp_path / "results").glob("[!.]*")), "nothing may be left behind"


def test_a_folder_for_temporary_files_that_is_too_deep_for_sockets_is_one_clear_message(tmp_path, table, monkeypatch):
    deep = tmp_path / "node-local-scratch-of-this-job" / "tmp"
    deep.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(deep))
    done = run(command(tmp_path, table), tmp_path)
    assert (done.returncode, done.stderr.count("error:"), "TMPDIR" in done.stderr) == (2, 1, True), done.stderr
    assert not list((tmp_path / "results").glob("[!.]*"))


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_budget_ends_a_search_cleanly_and_a_study_can_be_extended(tmp_path, table):
    """Epochs first, then trials; the extended study opens test again only for what is new, and says so."""
    words = command(tmp_path, table, "--set", "search.scheduler=none", "--task", "deepfake", trials=6, epochs=3)
    folder = tmp_path / "results" / "small-noise-deepfake"
    done = run([*words, "--set", "search.max_epochs=7"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "`search.max_epochs`" in done.stdout
    assert 7 <= sum(int(row["epochs"]) for row in leaderboard(folder)) <= 9
    done = run([*words, "--resume"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["status"] for row in leaderboard(folder)] == ["complete"] * 6
    done = run([*words, "--extend", 2], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = leaderboard(folder)
    assert [row["status"] for row in rows] == ["complete"] * 8
    done = run([*words, "--resume"], tmp_path)
    assert done.returncode == 0, "the extension is on record"
    assert leaderboard(folder) == rows
    openings = json.loads((folder / "manifest.json").read_text())["test_opened"]
    chosen = [opening["chosen"] for opening in openings]
    assert len(chosen) == len(set(chosen)), "no trial is tested twice"
    _check_scores_of_videos(words, folder)


def _check_scores_of_videos(words, folder):
    """They are scored from the first epoch to test; a study that scored frames does not go on."""
    for line in (folder / "trials" / "0000" / "metrics.jsonl").read_text().splitlines():
        result = json.loads(line)
        assert result["val/score"] == result["val/auc"] and "val/frame_auc" in result
    card = json.loads((folder / "best" / "test.json").read_text())
    assert sum(map(sum, card["confusion"]["counts"])) == card["video"]["videos"] == 16
    assert card["auc"] == card["video"]["auc"]
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["data"].pop("scored_by") == "video"
    path.write_text(json.dumps(manifest))  # as the version before wrote it
    for how in (["--resume"], ["--extend", 1]):
        done = run([*words, *how], folder.parent)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "scores are now of whole videos" in done.stderr and "Traceback" not in done.stderr
        assert "--name small-noise-deepfake-by-video" in done.stderr
    assert json.loads(path.read_text()) == manifest, "nothing is changed"


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_several_objectives_by_nsga2_and_the_dashboard(tmp_path, table):
    """The front on the leaderboard is that of Optuna's dashboard."""
    import optuna

    from search.dashboard_view.study import StudyView

    pins = [
        "--set",
        "search.objectives=[score, parameters]",
        "--set",
        "search.sampler=nsga2",
        "--set",
        "search.startup_trials=2",
    ]
    pins += ["--set", "backbone.name=test_convnext"]
    done = run(command(tmp_path, table, *pins, trials=5, epochs=2), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "results" / "small-noise-bright"
    rows = leaderboard(folder)
    assert "True" in {row["pareto"] for row in rows}
    (tmp_path / "panels").mkdir()
    storage = StudyView(RunFolder(folder), tmp_path / "panels").changed()
    study = optuna.load_study(study_name=folder.name, storage=storage)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    on_front = {f"{trial.number:04d}" for trial in study.best_trials}
    assert on_front == {row["trial"] for row in rows if row["pareto"] == "True"}
    states = {f"{trial.number:04d}": trial.state.name for trial in study.trials}
    assert states == {row["trial"]: {"complete": "COMPLETE", "stopped": "PRUNED"}[row["status"]] for row in rows}
