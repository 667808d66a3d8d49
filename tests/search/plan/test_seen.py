"""What a plan says of the difference that the final stage can see."""

import json

import pytest

from lssat.config import build
from search.claims.power import Spread, smallest_gap
from search.plan.seen import SeedSpread, measured_spread, what_is_seen
from search.record.folder import RunFolder, Stage
from search.space import file as space_file
from search.space.settings import SearchConfig
from tests.search.records import epoch, record

BASE = {"backbone.name": "test_resnet", "data.image_size": 32, "masking.unit": 8}
SEARCH = SearchConfig(finalists=3, final_seeds=5)


def test_arms_seeds_rows_the_difference_and_what_it_rests_on():
    assert what_is_seen(SEARCH, 1000, None) == (
        "6 arms (finalists and their supervised baselines) x 5 seeds: with 1,000 scored validation rows a difference "
        f"of about {smallest_gap(6, 5, 1000):.2g} can be told (80% power, if seeds spread scores by 0.01, which is "
        "assumed)"
    )
    measured = what_is_seen(SEARCH, 1000, SeedSpread(0.03, "faces-male"))
    assert f"about {smallest_gap(6, 5, 1000, Spread(seed=0.03, run=0)):.2g} can" in measured
    assert "by 0.0300 as in faces-male" in measured
    assert ") x 5 seeds x 4 held-out values: with 1,000" in what_is_seen(SEARCH, 1000, None, folds=4)


def test_few_rows_and_no_final_stage():
    assert "no difference can be told; it takes 100" in what_is_seen(SEARCH, 99, None)
    assert what_is_seen(SearchConfig(finalists=0), 1000, None) == ""


def study(path, task, scores):
    """A study's folder; `scores`: of each arm by seed."""
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    (path / "s.yaml").write_text(f"fixed: {{data.task: {task}}}\nspace: {{aux_weight: [0.1, 0.5]}}")
    space = json.loads(json.dumps(space_file.load(path / "s.yaml", "laptop", {}, {}).to_json()))
    content = {"name": path.name, "resolved": {"space": space}, "versions": {}}
    folder.manifest.write_text(json.dumps(content))
    for arm, of_arm in scores.items():
        for seed, score in enumerate(of_arm, start=1):
            record(folder.record(Stage.FINAL, f"{arm}-seed{seed}").folder, BASE, [epoch(4, score)], "complete")


def test_the_spread_of_an_earlier_study_of_the_same_data_is_taken(tmp_path):
    """What an arm is better by, and what a seed does to all arms, is no spread."""
    data = build({"data.task": "emotion"}).data
    assert measured_spread(tmp_path / "nowhere", data, None) is None
    study(tmp_path / "other", "attributes", {"a": [0.5, 0.6, 0.7], "b": [0.9, 0.1, 0.5], "c": [0.1, 0.2, 0.3]})
    study(tmp_path / "smoke", "emotion", {"a": [0.1, 0.9], "b": [0.9, 0.1]})
    assert measured_spread(tmp_path, data, None) is None
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{}")
    even = {"a": [0.51, 0.60, 0.69], "b": [0.69, 0.80, 0.91], "c": [0.60, 0.70, 0.80]}
    study(tmp_path / "same", "emotion", even)
    found = measured_spread(tmp_path, data, None)
    assert found.study == "same"
    assert measured_spread(tmp_path, data, "mean") is None, "of seeds that are scored over several values"
    assert found.sd == pytest.approx((4e-4 / 4) ** 0.5)
