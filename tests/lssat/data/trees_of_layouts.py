"""Miniature trees of further layouts, as `trees.py` has those of the first data sets: exact names, and faces from which
the labels can be learnt.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lssat.data.synthetic.traits import ATTRIBUTES
from tests.lssat.data.trees import face, write_csv, write_json

RACES = ("Black", "East Asian", "Latino_Hispanic", "White")
AGES = ("0-2", "3-9", "10-19", "more than 70")
RAFDB_LABELS = {0: 7, 1: 4, 2: 5, 3: 1, 4: 2, 5: 3, 6: 6}
"""Emotion of a drawn face -> its number in RAF-DB."""
FER_LABELS = {0: 6, 1: 3, 2: 4, 3: 5, 4: 2, 5: 1, 6: 0}
"""The same in FER2013."""
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
FERPLUS_COLUMNS = {0: 0, 1: 1, 2: 3, 3: 2, 4: 6, 5: 5, 6: 4, 7: 7}
"""The column of its votes in FER+."""
HALVES = {"train": 40, "val": 12, "test": 12}


def emotion(split: str, number: int, label: int) -> bytes:
    """A face of one of eight emotions, the split's own."""
    return face("emotion", split, number, label)[0]


def male(split: str, number: int) -> tuple[bytes, int]:
    """A face, and whether it is drawn as male."""
    image, labels = face("attributes", split, number, number % 20)
    return image, labels[ATTRIBUTES.index("Male")]


def huggingface(root: Path, shards: Sequence[int] = (2, 1, 1), rows: dict[str, int] | None = None) -> Path:
    """Shards with a ClassLabel whose order is not that of its letters, and metadata as the Hub writes them."""
    names = ["man", "boy", "none", "woman"]
    features = {
        "image": {"_type": "Image"},
        "label": {"names": names, "_type": "ClassLabel"},
        "camera": {"names": ["phone", "studio"], "_type": "ClassLabel"},
        "identity": {"dtype": "string", "_type": "Value"},
    }
    (root / "data").mkdir(parents=True)
    (root / "README.md").write_text("---\n")
    kinds = {"image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]), "label": pa.int64()}
    kinds |= {"camera": pa.int64(), "identity": pa.string()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema(list(kinds.items()), metadata=metadata)
    for (split, count), called, parts in zip(
        (rows or HALVES).items(), ("train", "validation", "test"), shards, strict=True
    ):
        found = []
        for number in range(count):
            image, is_male = male(split, number)
            cell = {"bytes": image, "path": f"{split}{number}.jpg"}
            label = 0 if is_male else 3
            found.append({"image": cell, "label": label, "camera": number % 2, "identity": f"{split}{number // 2}"})
        for part in range(parts):
            table = pa.Table.from_pylist(found[part * count // parts : (part + 1) * count // parts], schema)
            pq.write_table(table, root / "data" / f"{called}-{part:05d}-of-{parts:05d}.parquet", row_group_size=8)
    return root


def table(root: Path) -> Path:
    """A CSV whose columns are called otherwise, with images in a folder beside it."""
    lines: list[list[object]] = [["file", "race", "id", "fold", "region"]]
    for split, count in HALVES.items():
        for number in range(count):
            image, is_male = male(split, number)
            name = f"photos/{split}{number}.jpg"
            _write(root / name, image)
            person, region = f"{split}{number // 2}", ("EU", "AS")[number % 2]
            lines.append([name, ("b", "a")[is_male], person, split, region])
    write_csv(root / "faces.csv", lines)
    return root / "faces.csv"


def utkface(root: Path, count: int = 120) -> Path:
    """`[age]_[gender]_[race]_[date&time].jpg`; one name lacks the race."""
    for number in range(count):
        image, is_male = male("train", number)
        _write(root / f"{20 + number % 3}_{1 - is_male}_{number % 5}_201701161745{number:05d}.jpg", image)
    _write(root / "61_1_20170109142408075.jpg", male("val", 0)[0])
    return root


def lfw(root: Path, people: int = 60) -> Path:
    """Two images of each person in a folder of the person's name, with a folder above that says which is male."""
    for number, take in product(range(people), (1, 2)):
        _, is_male = male("train", number)
        image = male("train", number)[0]
        name = f"Aaron_{chr(65 + number // 26)}{chr(97 + number % 26)}"
        _write(root / ("female", "male")[is_male] / name / f"{name}_{take:04d}.jpg", _shaded(image, take))
    return root


def frames(root: Path, people: int = 24, length: int = 3) -> Path:
    """`method/video/frame.png`: real videos of each person, and two methods; `000_001` is under both."""
    for number, step in product(range(people), range(length)):
        target, source = f"{number:03d}", f"{number ^ 1:03d}"
        for method, video, label in (
            ("original", target, 0),
            ("blend", f"{target}_{source}", 1),
            ("warp", f"{target}_{source}", 1),
        ):
            image = face("deepfake", "train", number, label)[0]
            _write(root / method / video / f"{step:03d}.png", _shaded(image, step, "PNG"))
    return root


def fairface(root: Path, train: int = 40, val: int = 16) -> Path:
    """Labels in two CSV files, `gender` by the drawn face."""
    for folder, count, split in (("train", train, "train"), ("val", val, "test")):
        lines: list[list[object]] = [["file", "age", "gender", "race", "service_test"]]
        for number in range(count):
            image, is_male = male(split, number)
            _write(root / folder / f"{number + 1}.jpg", image)
            name = f"{folder}/{number + 1}.jpg"
            gender = ("Female", "Male")[is_male]
            lines.append([name, AGES[number % 4], gender, RACES[number // 2 % 4], number % 2 == 0])
        write_csv(root / f"fairface_label_{folder}.csv", lines)
    return root


def rafdb(root: Path, train: int = 12, test: int = 3) -> Path:
    """Seven emotions; the misspelt list of its owners."""
    lines = []
    for split, each in (("train", train), ("test", test)):
        for number, (label, _) in enumerate(product(RAFDB_LABELS, range(each)), 1):
            _write(root / "Image" / "aligned" / f"{split}_{number:05d}_aligned.jpg", emotion(split, number, label))
            lines.append(f"{split}_{number:05d}.jpg {RAFDB_LABELS[label]}\n")
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel" / "list_patition_label.txt").write_text("".join(lines))
    return root


def fer(root: Path, each: Sequence[int] = (12, 3, 3), votes: bool = False) -> Path:
    """`fer2013.csv` with 48 x 48 grey numbers in a cell; with `votes` those of FER+ too, of eight emotions."""
    emotions = range(8 if votes else 7)
    lines: list[list[object]] = [["emotion", "pixels", "Usage"]]
    voted: list[list[object]] = [["Usage", "Image name", *VOTES]]
    for split, usage, count in zip(HALVES, ("Training", "PublicTest", "PrivateTest"), each, strict=True):
        for number, (label, _) in enumerate(product(emotions, range(count))):
            picture = Image.open(io.BytesIO(emotion(split, number, label))).convert("L").resize((48, 48))
            pixels = " ".join(map(str, np.asarray(picture).ravel()))
            lines.append([FER_LABELS.get(label, 6), pixels, usage])
            cells = [0] * 10
            cells[FERPLUS_COLUMNS[label]], cells[(FERPLUS_COLUMNS[label] + 1) % 8] = 9, 1
            voted.append([usage, f"fer{len(voted) - 1:07d}.png", *cells])
    root.mkdir(parents=True, exist_ok=True)
    write_csv(root / "fer2013.csv", lines)
    if votes:
        write_csv(root / "fer2013new.csv", voted)
    return root


def class_tree(root: Path, count: Sequence[int] = (40, 12, 12)) -> Path:
    """`train/ val/ test/` of class folders."""
    for split, images in zip(HALVES, count, strict=True):
        for number in range(images):
            image, is_male = male(split, number)
            _write(root / split / ("woman", "man")[is_male] / f"{number}.jpg", image)
    return root


def celebdfpp(root: Path, people: int = 10, length: int = 3) -> Path:
    """Extracted frames of Celeb-DF++: two methods of face swapping, one each of the other scenarios. Persons 0 and 1
    are in the list of test videos, where 1 is real.
    """
    methods = (("FaceSwap", "Celeb-DF"), ("FaceSwap", "SimSwap"), ("FaceReenact", "LIA"), ("TalkingFace", "FLOAT"))
    tested = []
    for person in range(people):
        pair = f"id{person}_id{person ^ 1}_0000"
        videos = [("Celeb-real", f"id{person}_0000", 0), ("YouTube-real", f"{person:05d}", 0)]
        videos += [
            (f"Celeb-synthesis/{scenario}/{method}", f"id{person}_0000" if scenario == "TalkingFace" else pair, 1)
            for scenario, method in methods
        ]
        for folder, video, label in videos:
            number = person + (100 if folder == "YouTube-real" else 0)
            _frames(root / folder / "frames" / video, "train", (number, label), length)
            tested += [f"{1 - label} {folder}/{video}.mp4"] if person < 2 else []
    (root / "List_of_testing_videos.txt").write_text("\n".join(tested) + "\n")
    return root


def df40(root: Path, people: int = 20, length: int = 3) -> Path:
    """DF40 with two methods in domain ff and one of them in cdf, fakes only, where val is test; and the JSON files of
    the real videos, with fakes of their own.
    """
    ff = {"train": range(people - 8), "val": range(people - 8, people - 4), "test": range(people - 4, people)}
    reals: dict[str, object] = {}
    fakes: dict[str, object] = {}
    for split, persons in ff.items():
        reals[split] = {"c23": _videos(root, "FaceForensics++/youtube", [(f"{one:03d}", one, 0) for one in persons])}
        others = [(f"{one:03d}_{one ^ 1:03d}", one, 1) for one in persons]
        fakes[split] = {"c23": _videos(root, "FaceForensics++/Deepfakes", others)}
    write_json(root / "FaceForensics++.json", {"FaceForensics++": {"FF-real": reals, "FF-DF": fakes}})
    cdf = [(f"id{one}_0000", 200 + one, 0) for one in range(4)]
    test = _videos(root, "Celeb-DF-v2/Celeb-real", cdf[:2])
    train = test | _videos(root, "Celeb-DF-v2/Celeb-real", cdf[2:])
    celeb = {"CelebDFv2_real": {"train": train, "val": test, "test": test}}
    write_json(root / "Celeb-DF-v2.json", {"Celeb-DF-v2": celeb})
    for method, domain in (("simswap", "ff"), ("lia", "ff"), ("simswap", "cdf")):
        folder = f"DF40/{method}/{domain}"
        swapped = {
            split: [
                (f"{one:03d}_{one ^ 1:03d}", one, 1) if domain == "ff" else (f"id{one}_id{one ^ 1}_0000", 200 + one, 1)
                for one in persons
            ]
            for split, persons in (
                {"train": [*ff["train"], *ff["val"]], "test": ff["test"]} if domain == "ff" else {"test": range(2)}
            ).items()
        }
        of_split = {split: _videos(root, folder, found) for split, found in swapped.items()}
        labels = {"train": of_split.get("train", {}), "val": of_split["test"], "test": of_split["test"]}
        write_json(root / f"{method}_{domain}.json", {f"{method}_{domain}": {f"{method}_Fake": labels}})
    return root


def _videos(root: Path, folder: str, videos: Sequence[tuple[str, int, int]], length: int = 3) -> dict[str, object]:
    """Videos of a JSON of DeepfakeBench, (name, number, label) each, with their frames."""
    found: dict[str, object] = {}
    for name, number, label in videos:
        _frames(root / folder / "frames" / name, "train", (number, label), length)
        files = [f"{folder}/frames/{name}/{step:03d}.png" for step in range(length)]
        found[name] = {"label": f"{folder}", "frames": files}
    return found


def _frames(folder: Path, split: str, drawn: tuple[int, int], length: int) -> None:
    image = face("deepfake", split, *drawn)[0]
    for step in range(length):
        _write(folder / f"{step:03d}.png", _shaded(image, step, "PNG"))


def _shaded(image: bytes, step: int, form: str = "JPEG") -> bytes:
    """The face, a little darker at each step."""
    picture = np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(int) - 4 * step
    buffer = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(buffer, form)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
