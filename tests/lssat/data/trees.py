"""Miniature trees in the exact layouts of the data sets' owners, quirks included, with faces from which the labels can
be learnt.
"""

from __future__ import annotations

import csv
import io
import json
import math
from functools import lru_cache
from itertools import product
from pathlib import Path

import av
import numpy as np
from PIL import Image

from lssat.data.synthetic.generate import PER_FACE, Order, draw
from lssat.data.synthetic.traits import ATTRIBUTES

CELEBA_NAMES = tuple(sorted({*ATTRIBUTES, *(f"Other_{number:02d}" for number in range(20))}))
EMOTIONS = 8
DISTINCT = 600  # faces that are drawn; larger trees repeat them
APART = math.lcm(*PER_FACE.values())  # positions of the deepfake task that show other people
CLASSIC = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


@lru_cache(maxsize=4096)
def face(task: str, split: str, number: int, label: int, size: int = 64) -> tuple[bytes, tuple[int, ...]]:
    """JPEG bytes of a synthetic face, and its labels."""
    row = draw(Order(task, 0, split, number, label, size))
    return row.image, row.label if isinstance(row.label, tuple) else (row.label,)


def celeba(
    root: Path, train: int = 120, held_out: int = 40, table: str = "txt", nested: bool = False, identities: bool = True
) -> Path:
    """CelebA of `train` + 2 x `held_out` images of 178 x 218, its tables as `txt` or `csv`."""
    folder = root / "img_align_celeba" / "img_align_celeba" if nested else root / "img_align_celeba"
    folder.mkdir(parents=True)
    rows: list[tuple[str, list[int], int]] = []
    for split, count in enumerate((train, held_out, held_out)):
        for number in range(count):
            image, label = face(
                "attributes", ("train", "val", "test")[split], number % DISTINCT, number % len(ATTRIBUTES)
            )
            drawn = dict(zip(ATTRIBUTES, label, strict=True))
            name = f"{len(rows) + 1:06d}.jpg"
            _portrait(image).save(folder / name, quality=92)
            bits = [drawn.get(attribute, (number + column) % 3 // 2) for column, attribute in enumerate(CELEBA_NAMES)]
            rows.append((name, [1 if bit else -1 for bit in bits], split))
    if table == "csv":
        write_csv(
            root / "list_attr_celeba.csv", [["image_id", *CELEBA_NAMES], *([name, *values] for name, values, _ in rows)]
        )
        write_csv(
            root / "list_eval_partition.csv", [["image_id", "partition"], *([name, split] for name, _, split in rows)]
        )
    else:
        lines = [
            f"{len(rows)}",
            " ".join(CELEBA_NAMES) + " ",
            *(name + " " + " ".join(f"{value:2d}" for value in values) for name, values, _ in rows),
        ]
        (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
        (root / "list_eval_partition.txt").write_text("".join(f"{name} {split}\n" for name, _, split in rows))
    if identities:
        (root / "identity_CelebA.txt").write_text(
            "".join(f"{name} {split * 10_000 + row // 4 + 1}\n" for row, (name, _, split) in enumerate(rows))
        )
    return root


def affectnet_npy(root: Path, train: int = 20, val: int = 5) -> Path:
    """Form (a); label files hold a string, a 0-d number or one number in turn."""
    for folder, split, each in (("train_set", "train", train), ("val_set", "test", val)):
        (root / folder / "images").mkdir(parents=True)
        (root / folder / "annotations").mkdir()
        for number, (label, _) in enumerate(product(range(EMOTIONS), range(each))):
            (root / folder / "images" / f"{number}.jpg").write_bytes(
                face("emotion", split, number % DISTINCT, label)[0]
            )
            value = (np.array(str(label)), np.array(label), np.array([float(label)]))[number % 3]
            np.save(root / folder / "annotations" / f"{number}_exp.npy", value)
            np.save(root / folder / "annotations" / f"{number}_val.npy", np.array("0.1"))
    return root


def affectnet_csv(root: Path, train: int = 20, val: int = 5, header: bool = True) -> Path:
    """Form (b); faces sit off centre in larger pictures, in boxes. Rows of expression 8, 9, 10 and without a box are
    among them.
    """
    names = [
        "subDirectory_filePath",
        "face_x",
        "face_y",
        "face_width",
        "face_height",
        "facial_landmarks",
        "expression",
        "valence",
        "arousal",
    ]
    for table, split, each in (("training", "train", train), ("validation", "test", val)):
        rows: list[list[object]] = [names] if header else []
        for number, (label, _) in enumerate(product(range(EMOTIONS), range(each))):
            name = f"{number % 7}/{split}{number}.jpg"
            picture = Image.new("RGB", (120, 100), (90, 80, 70))
            picture.paste(Image.open(io.BytesIO(face("emotion", split, number % DISTINCT, label)[0])), (40, 20))
            _save(picture, root / "Manually_Annotated_Images" / name)
            rows.append([name, 40, 20, 64, 64, "50.1;60.2;70.3;80.4", label, 0.1, -0.2])
        for extra, expression in enumerate((8, 9, 10, 1)):
            name = f"9/{split}-extra{extra}.jpg"
            _save(Image.new("RGB", (120, 100)), root / "Manually_Annotated_Images" / name)
            rows.append([name, 40, 20, -1 if expression == 1 else 64, 64, "", expression, -2, -2])
        write_csv(root / f"{table}.csv", rows)
    return root


def affectnet_folders(root: Path, train: int = 20, val: int = 5) -> Path:
    """Form (c)."""
    for folder, split, each in (("train", "train", train), ("val", "test", val)):
        for number, (label, _) in enumerate(product(range(EMOTIONS), range(each))):
            path = root / folder / str(label) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(face("emotion", split, number % DISTINCT, label)[0])
    return root


def faceforensics(
    root: Path,
    pairs: tuple[int, int, int] = (6, 2, 2),
    methods: tuple[str, ...] = CLASSIC,
    dfd: int = 0,
    frames: bool = False,
    length: int = 8,
) -> Path:
    """FaceForensics++ at c23: videos of `length` frames, or extracted frames; `dfd` actors with two scenes each."""
    number = 0
    for split, count in zip(("train", "val", "test"), pairs, strict=True):
        names = [(f"{number + 2 * pair:03d}", f"{number + 2 * pair + 1:03d}") for pair in range(count)]
        number += 2 * count
        write_json(root / "splits" / f"{split}.json", [list(pair) for pair in names])
        for first, second in names:
            for target, source in ((first, second), (second, first)):
                _clip(root / "original_sequences/youtube/c23", target, split, int(target), 0, frames, length)
                for method in methods:
                    _clip(
                        root / f"manipulated_sequences/{method}/c23",
                        f"{target}_{source}",
                        split,
                        int(target),
                        1,
                        frames,
                        length,
                    )
    for actor in range(1, dfd + 1):
        for scene in ("exit_phone_room", "talking_against_wall"):
            _clip(
                root / "original_sequences/actors/c23", f"{actor:02d}__{scene}", "train", 400 + actor, 0, frames, length
            )
            fake = f"{actor:02d}_{actor % dfd + 1:02d}__{scene}__{actor:08X}"
            _clip(root / "manipulated_sequences/DeepFakeDetection/c23", fake, "train", 400 + actor, 1, frames, length)
    return root


def celebdf(root: Path, people: int = 10, frames: bool = False, length: int = 8) -> Path:
    """Celeb-DF v2 with two real, two fake and one YouTube video per person; persons 0 and 1 are in the test list, where
    1 is real.
    """
    tested = []
    for person in range(people):
        for take in range(2):
            real, fake = f"id{person}_{take:04d}", f"id{person}_id{person ^ 1}_{take:04d}"
            _clip(root / "Celeb-real", real, "train", person * 2 + take, 0, frames, length, plain=True)
            _clip(root / "Celeb-synthesis", fake, "train", person * 2 + take, 1, frames, length, plain=True)
            tested += [f"1 Celeb-real/{real}.mp4", f"0 Celeb-synthesis/{fake}.mp4"] if person < 2 else []
        _clip(root / "YouTube-real", f"{person:05d}", "train", 100 + person, 0, frames, length, plain=True)
        tested += [f"1 YouTube-real/{person:05d}.mp4"] if person < 2 else []
    (root / "List_of_testing_videos.txt").write_text("\n".join(tested) + "\n")
    return root


def dfdc(root: Path, originals: int = 8, tested: int = 6, length: int = 8) -> Path:
    """DFDC: two parts with a real video and two fakes of it each, and a test folder with labels.csv."""
    for part in range(2):
        metadata = {}
        for number in range(originals):
            real = f"p{part}r{number:03d}.mp4"
            _clip(
                root / f"dfdc_train_part_{part}", real[:-4], "train", part * 50 + number, 0, False, length, plain=True
            )
            metadata[real] = {"label": "REAL", "split": "train", "original": None}
            for copy in range(2):
                fake = f"p{part}f{number:03d}{copy}.mp4"
                _clip(
                    root / f"dfdc_train_part_{part}",
                    fake[:-4],
                    "train",
                    part * 50 + number,
                    1,
                    False,
                    length,
                    plain=True,
                )
                metadata[fake] = {"label": "FAKE", "split": "train", "original": real}
        write_json(root / f"dfdc_train_part_{part}" / "metadata.json", metadata)
    for number in range(tested):
        _clip(root / "test", f"t{number:03d}", "test", number, number % 2, False, length, plain=True)
    if tested:
        write_csv(
            root / "test" / "labels.csv",
            [["filename", "label"], *([f"t{number:03d}.mp4", number % 2] for number in range(tested))],
        )
    return root


def deepfakebench(root: Path, pairs: tuple[int, int, int] = (6, 2, 2), length: int = 8) -> Path:
    """FaceForensics++ as DeepfakeBench extracts it: `FaceForensics++/` with frames, and the JSON with backslashes in
    its names.
    """
    faceforensics(root / "FaceForensics++", pairs, ("Deepfakes", "FaceSwap"), frames=True, length=length)
    folders = {
        "FF-real": "original_sequences/youtube",
        "FF-DF": "manipulated_sequences/Deepfakes",
        "FF-FS": "manipulated_sequences/FaceSwap",
    }
    labels: dict[str, dict[str, dict[str, dict[str, object]]]] = {}
    for label, folder in folders.items():
        for split in ("train", "val", "test"):
            videos = {}
            for pair in json.loads((root / "FaceForensics++" / "splits" / f"{split}.json").read_text()):
                for video in pair if label == "FF-real" else ("_".join(pair), "_".join(pair[::-1])):
                    files = [
                        f"FaceForensics++\\{folder}\\c23\\frames\\{video}\\{frame:03d}.png".replace("/", "\\")
                        for frame in range(length)
                    ]
                    videos[video] = {"label": label, "frames": files}
            labels.setdefault(label, {})[split] = {"c23": videos}
    write_json(root / "FaceForensics++.json", {"FaceForensics++": labels})
    return root


def _clip(
    folder: Path, name: str, split: str, number: int, label: int, frames: bool, length: int, plain: bool = False
) -> None:
    """A face that drifts: an mp4 file, large enough for the detector to take what is drawn for a face, or PNG files."""
    side, margin = (96, 16) if frames else (256, 32)
    drawn = Image.open(io.BytesIO(face("deepfake", split, number % DISTINCT * APART, label)[0]))
    picture = np.asarray(drawn.resize((side, side)))
    images = [
        np.pad(picture, ((margin - 4 + step % 4, margin + 4 - step % 4), (margin, margin), (0, 0)), mode="edge")
        for step in range(length)
    ]
    if frames:
        for step, image in enumerate(images):
            _save(Image.fromarray(image), folder / "frames" / name / f"{step:03d}.png")
        return
    path = folder / ("" if plain else "videos") / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = side + 2 * margin
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())


def _portrait(image: bytes) -> Image.Image:
    return Image.open(io.BytesIO(image)).resize((218, 218)).crop((20, 0, 198, 218))


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_csv(path: Path, rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
