"""The schema that editors read: fresh, true of what ships, and false of what the loader refuses for a key alone."""

import json
from pathlib import Path

import jsonschema
import pytest

from search.space import schema
from search.space.file import load
from search.space.yaml_lines import read

SPACES = sorted((Path(__file__).resolve().parents[3] / "spaces").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator():
    found = json.loads(schema.PATH.read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def test_the_file_is_fresh():
    assert schema.PATH.read_text() == schema.text(), "run `python -m search.space.schema`"


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_space_that_ships_is_valid_and_says_so_to_editors(validator, path):
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    validator.validate(read(path).content)


def written(tmp_path, text):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "fixed: {optim.lr: 1, auxiliary: off, backbone.name: null, backbone.pretrained: on, data.classes: [a, b]}",
        "data: {task: emotion}\nobjective: {metric: auc}\nspace:\nsearch: {objectives: [score, parameters]}",
        "space: {optim.lr: {low: 1e-4, high: 1e-2, log: on}, decoder.depth: [1e0, 2]}",
        "space:\n  auxiliary: [on, off]\n  seed:\n    - {choices: [1], when: {auxiliary: on}}\n    - {low: 2, high: "
        "4, step: 2, when: {auxiliary: [off]}}",
        "resources: {atto..nano: {gpus_per_worker: 0.25}, tiny: {num_workers: 2}}\nprofiles: {a: {fixed: {seed: 1}}, "
        "laptop: {}}",
    ],
)
def test_what_loads_is_valid(validator, tmp_path, text):
    path = written(tmp_path, text)
    validator.validate(read(path).content)
    load(path, "laptop", {}, {})


@pytest.mark.parametrize(
    "text",
    [
        "fixt: {}",
        "fixed: {optim.lrr: 1}",
        "fixed: {optim.lr: fast}",
        "fixed: {optim.lr: 0}",
        "fixed: {optim.epochs: 1.5}",
        "fixed: {masking.ratio: 1.2}",
        "fixed: {target.encoding: bytes}",
        "data: {image_size: 8}",
        "space: {optim.lr: []}",
        "space: {optim.lr: 1e-3}",
        "space: {optim.lr: {low: 1e-3}}",
        "space: {optim.lr: {low: 1e-3, high: 1e-2, steps: 3}}",
        "space: {backbone.family: {low: 1, high: 2}}",
        "space: {optim.epochs: [1, 2]}",
        "space: {seed: {choices: [1, 2], when: {auxilary: [on]}}}",
        "space: {seed: {choices: [1, 2], when: {auxiliary: []}}}",
        "search: {sampler: annealing}",
        "search: {objectives: [score, speed]}",
        "resources: {atto..giant: {gpus_per_worker: 1}}",
        "resources: {atto: {gpus: 1}}",
        "resources: {atto: {gpus_per_worker: -1}}",
        "profiles: {laptop: {fixed: {optim.lrr: 1}}}",
        "profiles: {laptop: {profiles: {}}}",
    ],
)
def test_what_the_loader_refuses_for_a_key_alone_is_invalid(validator, tmp_path, text):
    path = written(tmp_path, text)
    assert not validator.is_valid(read(path).content)
    with pytest.raises(ValueError):
        load(path, "laptop", {}, {})


def test_every_key_has_its_meaning():
    assert all(value["description"] for value in schema.setting_schemas().values())
