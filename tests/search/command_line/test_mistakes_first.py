"""Mistakes are answered before anything that takes seconds to import."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RUN = """
import sys
from search.run import main
code = main()
print(code, sorted({"torch", "torchvision", "timm", "ray", "optuna"} & set(sys.modules)))
"""
TABLE = "image,male,age,split\n" + "".join(
    f"{row}.jpg,{row % 2},{row % 3},{('train', 'train', 'val', 'test')[row // 2 % 4]}\n" for row in range(60)
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "mael"], "has no column `mael`; did you mean `male`"),
        (["--task", "male", "--classes", "0,2"], "`data.classes` names `2`"),
        (["--task", "male", "--set", "objective.subgroups=[Young]"], "`objective.subgroups` names `Young`"),
        (["--task", "age", "--set", "objective.metric=auc"], "`objective.metric` auc needs a binary"),
        (["--plan", "--task", "mael"], "did you mean `male`"),
        (["--task", "male", "--from", "results/nothing"], "there is no study; give the folder of a run"),
        (["--data", "synthetic", "--task", "emotoin"], "must be one of emotion, attributes, deepfake"),
        (["--data", "fases.csv"], "did you mean `faces.csv`?"),
        (["--data", "table:faces.csv?label=mael"], "option `label` names `mael`, but `faces.csv` has no column `mael`"),
        (["--data", "files:.?pattern={age.jpg"], "must have each field in a pair of braces"),
        (["--data", "huggingface:."], "holds no Parquet files"),
    ],
)
def test_what_is_wrong_with_the_data_is_said_before_torch_is_imported(tmp_path, words, message):
    (tmp_path / "faces.csv").write_text(TABLE)
    given = [] if "--data" in words else ["--data", "faces.csv"]
    done = run(tmp_path, *given, *words)
    assert message in done.stderr, done.stderr
    assert done.stdout == "2 []\n"
    assert not list((tmp_path / "results").glob("*"))


def test_a_split_that_nobody_knows_is_named_before_torch_is_imported(tmp_path):
    (tmp_path / "faces.csv").write_text(TABLE.replace(",val", ",dev"))
    done = run(tmp_path, "--data", "faces.csv", "--task", "male")
    assert "of 60 images or rows cannot be used" in done.stderr
    assert "unknown split `dev` (" in done.stderr
    assert done.stdout == "2 []\n"


def test_a_mistake_of_a_file_is_said_with_its_line(tmp_path):
    (tmp_path / "faces.csv").write_text(TABLE)
    for source, message in (
        ("table:faces.csv?label=mael", "has no column `mael`; did you mean `male` or `image` or `age`? (mine.yaml:3)"),
        ("table:fases.csv?label=male", "did you mean `faces.csv`? (mine.yaml:3)"),
    ):
        (tmp_path / "mine.yaml").write_text(
            f"fixed:\n  backbone.name: test_vit\n  data.source: '{source}'\nspace:\n  aux_weight: [0.1, 0.5]\n"
        )
        done = run(tmp_path, "--space", "mine.yaml")
        assert message in done.stderr, done.stderr
        assert done.stdout == "2 []\n"


def run(folder, *words):
    """The command without a space, which takes spaces/backbones.yaml."""
    return subprocess.run(
        [sys.executable, "-c", RUN, "--results", "results", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
