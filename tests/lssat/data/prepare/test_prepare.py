"""The prepared folder: made once, found again, never half made."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lssat.data.prepare import progress
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepare.prepare import Preparation, prepare
from lssat.data.prepared import writing
from lssat.data.prepared.table import INFO_FILE, DatasetInfo, is_complete, read_info, shard_paths
from lssat.data.sources import source
from lssat.data.sources.source import located
from lssat.data.synthetic import DRAWINGS
from lssat.data.synthetic import generate as synthetic
from lssat.data.synthetic.generate import SyntheticRow
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from tests.lssat.data import trees
from tests.lssat.data.shards import read_split

ROOT = Path(__file__).resolve().parents[4]
FACES = os.environ.get("LSSAT_FACES", "")


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (16, 16), number % 256).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def faces(tmp_path: Path) -> DataConfig:
    path = tmp_path / "faces.parquet"
    images = [jpeg(row) if row != 7 else b"damaged" for row in range(400)]
    pq.write_table(pa.table({"image": images, "male": [0, 1] * 200, "emotion": [0, 1, 2, 3] * 100}), path)
    return DataConfig(source=str(path), task="male")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_it_is_made_once_and_described(faces: DataConfig, cache: Path) -> None:
    lines: list[str] = []
    folder = prepare(faces, cache, lines.append)
    info = read_info(folder)
    assert folder.name == f"faces.parquet-male-{info.fingerprint[:12]}"
    assert (info.source, info.task, info.kind, info.synthetic, info.options["seed"]) == (
        "faces.parquet",
        "male",
        "binary",
        False,
        0,
    )
    assert sum(info.rows.values()) == 399
    assert info.rejects == ({"row": 7, "reason": "not a JPEG or PNG image"},)
    assert lines[0] == "checking images 0/400"
    assert lines[-1].startswith(f"prepared faces.parquet: {info.rows['train']} train, ")
    assert "1 left out" in lines[-1]
    changed, count = (folder / "dataset.json").stat().st_mtime_ns, len(lines)
    assert prepare(faces, cache, lines.append) == folder
    assert ((folder / "dataset.json").stat().st_mtime_ns, len(lines)) == (changed, count)


def test_the_same_data_prepare_to_the_same_bytes(faces: DataConfig, tmp_path: Path) -> None:
    first, second = (prepare(faces, tmp_path / name, lambda _: None) for name in ("one", "two"))
    assert first.name == second.name
    files = sorted(path.name for path in first.iterdir())
    assert files == [
        "dataset.json",
        "leaks.csv",
        "rejects.csv",
        "test-00000.parquet",
        "train-00000.parquet",
        "val-00000.parquet",
    ]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


def test_every_option_that_matters_makes_another_folder(faces: DataConfig, cache: Path) -> None:
    changes = [
        {},
        {"seed": 1},
        {"task": "emotion"},
        {"task": "emotion", "classes": ["0", "1"]},
        {"task": "emotion", "classes": ["0", "2"]},
    ]
    assert len({prepare(faces.model_copy(update=change), cache, lambda _: None) for change in changes}) == 5
    same = [{"image_size": 128}, {"num_images": 900}]
    assert {prepare(faces.model_copy(update=change), cache, lambda _: None) for change in same} == {
        prepare(faces, cache, lambda _: None)
    }
    orders = [{"task": "emotion", "classes": classes} for classes in (["2", "0"], ["0", "2"])]
    assert len({prepare(faces.model_copy(update=change), cache, lambda _: None) for change in orders}) == 1
    before = prepare(faces, cache, lambda _: None)
    pq.write_table(pq.read_table(faces.source).slice(0, 300), faces.source)
    assert prepare(faces, cache, lambda _: None) != before


KILLED = """
import os, signal, sys
from pathlib import Path
from lssat.settings.data import DataConfig
from lssat.data.prepare import prepare
def dying(source, read=prepare.read_table):
    for number, row in enumerate(read(source)):
        if number == 350:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row
prepare.read_table = dying
prepare.prepare(DataConfig(source=sys.argv[1], task="male"), Path(sys.argv[2]), print)
"""


def test_killed_in_the_middle_it_is_made_again_and_leaves_no_rest(faces: DataConfig, cache: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, faces.source, str(cache)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert killed.returncode == -signal.SIGKILL
    assert [name.startswith(".faces.parquet-male-") and ".partial-" in name for name in names(cache)] == [True]
    folder = prepare(faces, cache, lambda _: None)
    assert is_complete(folder)
    assert names(cache) == [folder.name]


def test_a_damaged_folder_is_made_again(faces: DataConfig, cache: Path) -> None:
    folder = prepare(faces, cache, lambda _: None)
    (folder / "val-00000.parquet").unlink()
    prepare(faces, cache, lambda _: None)
    assert len(read_split(folder, "val")) == read_info(folder).rows["val"]


def older(folder: Path) -> DatasetInfo:
    """What an older version left of the same source and options: it recorded no reading."""
    info = read_info(folder)
    info = replace(info, options={name: value for name, value in info.options.items() if name != "reading"})
    (folder / "dataset.json").write_text(info.to_json())
    return info


def test_a_folder_of_an_older_version_is_made_anew_and_keeps_its_fingerprint_where_all_is_read_alike(
    faces: DataConfig, cache: Path
) -> None:
    folder = prepare(faces, cache, lambda _: None)
    before = older(folder)
    lines: list[str] = []
    assert prepare(faces, cache, lines.append) == folder
    assert lines[-1].startswith("prepared faces.parquet")
    assert read_info(folder).fingerprint == before.fingerprint
    assert prepare(faces, cache, lines.append) == folder
    assert len([line for line in lines if line.startswith("prepared")]) == 1


def test_data_of_which_older_versions_opened_a_picture_differently_have_another_fingerprint(
    faces: DataConfig, cache: Path
) -> None:
    table = pq.read_table(faces.source)
    images = table["image"].to_pylist()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, plain = io.BytesIO(), io.BytesIO()
    for buffer, more in ((turned, {"exif": exif}), (plain, {})):
        Image.new("RGB", (16, 24), (200, 0, 0)).save(buffer, "JPEG", **more)
    found = {}
    for name, image in (("turned", turned), ("plain", plain)):
        path = Path(faces.source).with_name(f"{name}.parquet")
        pq.write_table(table.set_column(0, "image", [[image.getvalue(), *images[1:]]]), path)
        preparation = Preparation.of(located(str(path)), faces)
        info = read_info(prepare(faces.model_copy(update={"source": str(path)}), cache, lambda _: None))
        found[name] = (info.options.get("changed"), info.fingerprint == preparation.fingerprint)
        assert preparation.is_described_by(info)
    assert found == {"turned": (["1 pictures"], False), "plain": (None, True)}


HOLDS = """
import sys, time
from pathlib import Path
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepare.prepare import _locked
with _locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_at_once_wait_for_each_other_and_a_killed_one_is_waited_for_no_longer(
    faces: DataConfig, cache: Path
) -> None:
    folder = prepare(faces, cache, lambda _: None)
    (folder / "dataset.json").rename(cache / "aside")
    lines: list[str] = []
    command = [sys.executable, "-c", HOLDS, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiting = threading.Thread(target=prepare, args=(faces, cache, lines.append))
        waiting.start()
        while not lines:
            time.sleep(0.01)
        (cache / "aside").rename(folder / "dataset.json")
        assert waiting.is_alive()
        holder.kill()
    waiting.join(20)
    assert not waiting.is_alive()
    assert lines == [f"waiting for another process that prepares {folder.name}"]


def test_the_source_is_parsed_once(faces: DataConfig, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = source._parse
    monkeypatch.setattr(source, "_parse", lambda text: parsed.append(text) or parse(text))
    prepare(faces, cache, lambda _: None)
    assert parsed == [faces.source]


def test_everything_is_on_disk_before_the_folder_gets_its_name(
    faces: DataConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the renaming finds every byte: each file was flushed, then the folder that names them."""
    flushed: list[str] = []
    rename, fsync = os.rename, os.fsync

    def flush(handle: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def renamed(old: Path, new: Path) -> None:
        flushed.append("renamed")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(writing.os, "rename", renamed)
    folder = prepare(faces, cache, lambda _: None)
    before = {name.lstrip(".").removesuffix(".tmp") for name in flushed[: flushed.index("renamed")]}
    assert before >= {path.name for path in folder.iterdir()}
    assert any(".partial-" in name for name in flushed[: flushed.index("renamed")])
    assert flushed[-1] == cache.name


def test_an_error_leaves_nothing_behind(faces: DataConfig, cache: Path) -> None:
    pq.write_table(pa.table({"image": [b"x"] * 40, "male": [0, 1] * 20}), faces.source)
    with pytest.raises(ConfigError, match="40 were rejected; the first: 0: not a JPEG or PNG image"):
        prepare(faces, cache, lambda _: None)
    assert names(cache) == []


def test_progress_says_how_long_the_rest_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 3))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    lines: list[str] = []
    assert list(progress.Progress(lines.append, "drawing", 4).follow(iter("abcd"))) == [*"abcd"]
    assert lines == ["drawing 0/4", "drawing 2/4, 0/s, 6 s left", "drawing 4/4, 0/s, 0 s left"]


class TestSynthetic:
    @pytest.fixture(autouse=True)
    def _draw_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def generate(task: str, num_train: int, image_size: int, seed: int) -> Iterator[SyntheticRow]:
            rng = np.random.default_rng(seed)
            count = len(synthetic.CLASSES[task])
            for split, rows in (("train", num_train), ("val", 80), ("test", 80)):
                for row in range(rows):
                    label = tuple(rng.integers(0, 2, count).tolist()) if task == "attributes" else row % count
                    yield SyntheticRow(jpeg(row), label, f"{split}{row // 4}", split)

        monkeypatch.setattr(synthetic, "generate", generate)

    @pytest.mark.parametrize("task", ["emotion", "attributes", "deepfake"])
    def test_each_task_brings_its_kind_and_classes(self, task: str, cache: Path) -> None:
        lines: list[str] = []
        folder = prepare(DataConfig(task=task, num_images=200), cache, lines.append)
        info = read_info(folder)
        assert (info.source, info.kind, info.synthetic) == ("synthetic", synthetic.KINDS[task], True)
        assert info.classes == tuple(synthetic.CLASSES[task])
        assert info.rows == {"train": 200, "val": 80, "test": 80}
        assert info.options["image_size"] == 64
        assert lines[0].startswith("rendering synthetic faces 0/")

    def test_classes_are_selected_and_renumbered(self, cache: Path) -> None:
        names = synthetic.CLASSES["emotion"]
        two = read_info(prepare(DataConfig(num_images=200, classes=[names[5], names[2]]), cache, lambda _: None))
        assert (two.kind, two.classes, two.counts["val"]) == (
            "binary",
            (names[2], names[5]),
            {names[2]: 10, names[5]: 10},
        )

    def test_size_number_and_seed_make_other_folders(self, cache: Path) -> None:
        changes = [{}, {"image_size": 32}, {"num_images": 300}, {"seed": 1}, {"task": "deepfake"}]
        assert (
            len({prepare(DataConfig(**{"num_images": 200, **change}), cache, lambda _: None) for change in changes})
            == 5
        )

    def test_mistakes(self, cache: Path) -> None:
        with pytest.raises(ConfigError, match="must be one of emotion, attributes, deepfake, but got `male`"):
            prepare(DataConfig(task="male"), cache, lambda _: None)
        with pytest.raises(ConfigError, match=r"`data.classes` names `Joy`, .*; its classes are"):
            prepare(DataConfig(classes=["Joy", "Anger"]), cache, lambda _: None)
        with pytest.raises(ConfigError, match=r"`data.classes` selects classes of one label"):
            prepare(DataConfig(task="attributes", classes=["Bald", "Male"]), cache, lambda _: None)


def test_synthetic_fakes_bring_method_and_source_and_no_leak(tmp_path: Path) -> None:
    folder = prepare(DataConfig(task="deepfake", num_images=200, image_size=16), tmp_path, lambda _: None)
    info = read_info(folder)
    assert (info.columns, info.options["leaks"]) == (("method",), 0)
    for split in ("train", "val", "test"):
        table = pa.concat_tables([pq.read_table(path) for path in shard_paths(folder, split)]).to_pylist()
        for row in table:
            assert (row["label"] == 0) == (row["method"] == "")
            assert (row["source_identity"] != "") == (row["method"] == "region_swap")
        real = {row["identity"] for row in table if not row["method"]}
        assert {row["identity"] for row in table if row["method"]} <= real, "each fake has its real face"


def test_other_synthetic_faces_are_found_again_where_fakes_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    source = located("synthetic")
    before = {task: Preparation.of(source, DataConfig(task=task)).fingerprint for task in synthetic.KINDS}
    monkeypatch.setitem(DRAWINGS, "deepfake", "others")
    after = {task: Preparation.of(source, DataConfig(task=task)).fingerprint for task in synthetic.KINDS}
    assert [task for task in synthetic.KINDS if before[task] != after[task]] == ["deepfake"]


def test_no_module_of_the_data_imports_torch_or_ray() -> None:
    modules = sorted(path.relative_to(ROOT).with_suffix("") for path in (ROOT / "lssat" / "data").rglob("*.py"))
    imports = "; ".join(f"import {'.'.join(module.parts)}" for module in modules if module.name != "__main__")
    code = f"import sys; {imports}; print(sorted({{'torch', 'ray', 'pandas', 'timm'}} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(
    not Path(FACES).is_file(), reason="real faces are not at hand: set LSSAT_FACES to their Parquet table"
)
class TestRealFaces:
    def test_male_and_five_emotions_prepare_as_they_are(self, cache: Path) -> None:
        table = pq.read_table(FACES)
        emotion = ["0", "1", "2", "3", "6"]
        begun = time.monotonic()
        male = read_info(prepare(DataConfig(source=FACES, task="male", allow_leaks=True), cache, lambda _: None))
        five = prepare(
            DataConfig(source=FACES, task="emotion", classes=emotion, allow_leaks=True), cache, lambda _: None
        )
        assert time.monotonic() - begun < 20
        assert (male.kind, male.rows, male.rejects) == ("binary", {"train": 6353, "val": 1155, "test": 1614}, ())
        assert read_info(five).classes == tuple(emotion)
        wanted = [row for row in table.to_pylist() if row["split"] == "test" and str(row["emotion"]) in emotion]
        found = read_split(five, "test")
        assert found["image"].to_pylist() == [row["image"] for row in wanted]
        assert found["identity"].to_pylist() == [str(row["identity"]) for row in wanted]
        assert found["label"].to_pylist() == [emotion.index(str(row["emotion"])) for row in wanted]

    def test_absent_classes_are_named(self, cache: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"`val` .* no image of class `7`; set `data.classes: \[0, 1, 2, 3, 4, 5, 6\]`"
        ):
            prepare(DataConfig(source=FACES, task="emotion"), cache, lambda _: None)


def test_a_folder_in_which_real_faces_had_a_method_is_made_anew_with_its_fingerprint(cache: Path) -> None:
    """So that a method can be held out, and a study of before goes on."""
    trees.celebdf(cache / "tree", frames=True, length=1)
    data = DataConfig(source=f"celebdf:{cache / 'tree'}", allow_leaks=True)
    folder = prepare(data, cache, lambda _: None)
    assert set(read_split(folder, "train")["method"].to_pylist()) == {"", "Celeb-synthesis"}
    before = read_info(folder)
    (folder / INFO_FILE).write_text(replace(before, options=before.options | {"reading": 2}).to_json())
    lines: list[str] = []
    assert prepare(data, cache, lines.append) == folder
    assert lines[-1].startswith("prepared tree")
    assert read_info(folder) == before


def test_older_faces_of_videos_are_cut_out_anew_and_named_otherwise_while_images_are_found_again(
    tmp_path: Path, cache: Path
) -> None:
    """Versions before did not record a detector, which is part of the fingerprint where it found the faces."""
    for frames in (False, True):
        tree = trees.celebdf(tmp_path / str(frames), frames=frames, length=2)
        data = DataConfig(source=f"celebdf:{tree}", task="deepfake", allow_leaks=True, max_rejects=0.2)
        preparation = Preparation.of(located(data.source), data)
        folder = prepare(data, cache, lambda _: None)
        info = read_info(folder)
        assert (info.fingerprint == preparation.fingerprint) == frames
        assert {name: info.options.get(name) for name in DETECTOR} == (dict.fromkeys(DETECTOR) if frames else DETECTOR)
        options = {name: value for name, value in info.options.items() if name not in DETECTOR}
        (folder / "dataset.json").write_text(
            replace(info, options=options, fingerprint=preparation.fingerprint).to_json()
        )
        assert preparation.is_made(folder) == frames
        assert read_info(prepare(data, cache, lambda _: None)).fingerprint == info.fingerprint
        upright = data.model_copy(update={"align": "upright"})
        if not frames:
            assert prepare(upright, cache, lambda _: None) != folder
