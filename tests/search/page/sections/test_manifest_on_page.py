"""How a study was made, as its manifest says, without what says nothing."""

import json
from dataclasses import asdict

from search.page.document import Statement, Table
from search.page.sections import manifest
from search.space.definition import EarlierStudy, EarlierTrial
from tests.search.page.made import begun, of_kind, on_page, trial
from tests.search.records import epoch


def tables(folder):
    return of_kind(manifest.section(on_page(folder)), Table)


def test_only_settings_that_are_not_the_defaults_are_shown(tmp_path):
    rows = dict(tables(begun(tmp_path / "s", "score, flops"))["not_defaults"].rows)
    assert rows["optim.epochs"] == "4"
    assert rows["search.objectives"] == "score, flops"
    assert rows["search.sampler"] == "random"
    assert "search.seed" not in rows
    assert "optim.precision" not in rows


def test_the_folder_of_the_data_does_not_travel_with_the_page(tmp_path):
    found = tables(begun(tmp_path / "s"))
    assert dict(found["not_defaults"].rows)["data.source"] == "faces.csv"
    assert dict(found["made_with"].rows)["data"] == "faces.csv"


def test_first_weights_are_named_without_their_folder(tmp_path):
    folder = begun(tmp_path / "s")
    content = json.loads(folder.manifest.read_text())
    assert not any(str(row[0]).startswith("first weights") for row in tables(folder)["made_with"].rows)
    own = {
        "architecture": "test_resnet",
        "file": "/home/me/w/resnet.pth",
        "sha256": "0123456789abcdef",
        "match": "75 fit",
    }
    content["first_weights"] = [own, {"architecture": "test_convnext", "match": "99 fit"}]
    content["resolved"]["space"]["fixed"]["backbone.pretrained"] = "/home/me/w/"
    folder.manifest.write_text(json.dumps(content))
    found = tables(folder)
    rows = dict(found["made_with"].rows)
    assert rows["first weights of test_resnet"] == "resnet.pth (SHA-256 0123456789ab...): 75 fit"
    assert rows["first weights of test_convnext"] == "timm's hub: 99 fit"
    assert dict(found["not_defaults"].rows)["backbone.pretrained"] == "w"


def test_the_studies_that_it_began_from_are_shown_and_whether_they_held(tmp_path):
    folder = begun(tmp_path / "s")
    assert "begun_from" not in tables(folder)
    point = {"backbone.name": "test_resnet", "optim.lr": 1e-3}
    trials = tuple(EarlierTrial(f"{n:04d}", point, True, (0.1 * n,) * 4) for n in range(4))
    study = EarlierStudy("old", "y", "z", trials, ("0003", "0002", "0001", "0000"), {"failed": 2})
    content = json.loads(folder.manifest.read_text())
    content["resolved"]["space"]["earlier"] = [asdict(study)]
    folder.manifest.write_text(json.dumps(content))
    for number, score in enumerate((0.4, 0.3, 0.2, 0.1)):
        trial(folder, f"{number:04d}", [epoch(1, score), epoch(2, score)])
    (row,) = tables(folder)["begun_from"].rows
    assert row[:5] == ["old", "y", 4, "0003, 0002, 0001, 0000", "2 failed"]
    assert row[5].startswith("yes: of 4 trials run in both, Kendall's tau 1.00")


def test_what_was_searched_is_shown_with_its_range(tmp_path):
    rows = {row[0]: row[1] for row in tables(begun(tmp_path / "s"))["space"].rows}
    assert rows == {
        "backbone.name": "test_resnet, test_convnext, test_efficientnet",
        "optim.lr": "0.0001 to 0.01, logarithmic",
    }


def test_sessions_and_openings_are_those_of_the_manifest(tmp_path):
    folder = begun(tmp_path / "s")
    content = json.loads(folder.manifest.read_text())
    content["test_opened"] = [
        {"time": "2026-01-02", "chosen": "0001", "results": {"0001": {"score": 0.5}, "0002": {"score": 0.4}}},
        {"time": "2026-01-03", "chosen": "0003", "results": {}},
    ]
    content["sessions"][0] = {"command": ["python3", "search/run.py", "--name", "a b"], "started": "1", "ended": None}
    folder.manifest.write_text(json.dumps(content))
    found = tables(folder)
    assert found["test_opened"].rows == [
        ["2026-01-02", "0001", "0001, 0002"],
        ["2026-01-03", "0003", "nothing: it was cut short"],
    ]
    assert found["sessions"].rows == [["1", manifest.UNKNOWN, "python search/run.py --name 'a b'"]]


def test_no_folder_of_a_disk_is_on_a_command_that_is_shown(tmp_path):
    folder = begun(tmp_path / "s")
    content = json.loads(folder.manifest.read_text())
    words = ["--data", "/home/ann/faces.csv", "--results=/home/ann/r", "--set", "data.source=/home/ann/x y.csv"]
    words += ["--space", "spaces/backbones.yaml", "~/faces.csv", "s3://bucket/faces", "a=/u/a,/u/b"]
    content["sessions"][0] = {"command": ["python3", "/home/ann/search/run.py", *words], "started": "1", "ended": None}
    folder.manifest.write_text(json.dumps(content))
    (row,) = tables(folder)["sessions"].rows
    assert row[2] == (
        "python run.py --data faces.csv --results=r --set 'data.source=x y.csv' --space spaces/backbones.yaml "
        "faces.csv s3://bucket/faces a=a,b"
    )


def test_a_test_split_that_stayed_closed_is_said_to_be(tmp_path):
    section = manifest.section(on_page(begun(tmp_path / "s")))
    assert of_kind(section, Statement)["made.closed"].text == "The test split was never opened."
    assert "test_opened" not in of_kind(section, Table)


def test_the_study_can_be_run_again_from_its_manifest(tmp_path):
    folder = begun(tmp_path / "my study")
    section = manifest.section(on_page(folder))
    assert section.is_folded
    assert "--name 'my study-again'" in of_kind(section, Statement)["made.again"].command
