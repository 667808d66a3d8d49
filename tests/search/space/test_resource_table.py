"""Resources by the size of the backbone: where they come from, what overrules them, and what is refused."""

import pytest

from lssat.config import build
from lssat.errors import ConfigError
from lssat.settings.training import ResourcesConfig
from search.space import drawable
from search.space.file import load

TABLE = """
fixed: {resources.cpus_per_worker: 2}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, tiny, huge]
resources:
  atto..nano: {gpus_per_worker: 0.25, cpus_per_worker: 1}
  tiny: {gpus_per_worker: 1}
profiles:
  laptop: {}
  wide:
    resources:
      tiny..base: {num_workers: 2}
"""


def space(tmp_path, text=TABLE, profile="laptop", **pinned):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return load(path, profile, pinned, {})


def by_size(found):
    configs = [found.example(seed) for seed in range(60)]
    return {config.backbone.size: workers_cpus_gpus(config.resources) for config in configs}


def workers_cpus_gpus(given):
    return given.num_workers, given.cpus_per_worker, given.gpus_per_worker


def test_a_trial_gets_what_its_size_needs(tmp_path):
    """(workers, CPUs, GPUs); huge is not in the table, so the fixed resources hold."""
    assert by_size(space(tmp_path)) == {"atto": (1, 1, 0.25), "tiny": (1, 2, 1.0), "huge": (1, 2, 0.0)}
    assert by_size(space(tmp_path, profile="wide"))["tiny"] == (2, 2, 1.0)


def test_a_pinned_resource_wins(tmp_path):
    assert by_size(space(tmp_path, **{"resources.gpus_per_worker": 0})) == {
        "atto": (1, 1, 0.0),
        "tiny": (1, 2, 0.0),
        "huge": (1, 2, 0.0),
    }


@pytest.mark.parametrize(
    ("name", "gpus"), [("resnet18", 1.0), ("resnet18.a1_in1k", 1.0), ("test_vit", 0.25), ("resnet34", 0.0)]
)
def test_a_named_architecture_has_the_size_of_the_catalogue(tmp_path, name, gpus):
    assert space(tmp_path, **{"backbone.name": name}).example().resources.gpus_per_worker == gpus


def test_the_demands_are_those_of_the_sizes_that_can_be_drawn(tmp_path):
    small, middle, large = (
        ResourcesConfig(cpus_per_worker=cpus, gpus_per_worker=gpus) for cpus, gpus in ((1, 0.25), (2, 1), (2, 0))
    )
    assert sorted(map(str, drawable.demands(space(tmp_path)))) == sorted(map(str, (small, middle, large)))
    assert drawable.demands(space(tmp_path, **{"backbone.size": "atto"})) == [small]


def test_the_table_is_in_the_manifest(tmp_path):
    assert space(tmp_path).to_json()["resources"]["tiny"] == {"resources.gpus_per_worker": 1}
    assert "resources" not in space(tmp_path, "space: {seed: [1, 2]}").to_json(), "older manifests have no table"


def test_a_sample_is_a_configuration(tmp_path):
    sampled = space(tmp_path).points()
    assert len(sampled) == 5
    assert build(space(tmp_path).sample(_First())).resources.gpus_per_worker == 0.25


class _First:
    def suggest_categorical(self, name, choices):
        return choices[0]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("atto..nano:", "attto..nano:", ["attto", "did you mean `atto`", "my.yaml:7"]),
        ("atto..nano:", "nano..atto:", ["smaller to a larger", "my.yaml:7"]),
        ("atto..nano:", "tiny..tiny:", ["smaller to a larger", "my.yaml:7"]),
        ("atto..nano:", "atto..nano..tiny:", ["smaller to a larger", "my.yaml:7"]),
        ("atto..nano:", "atto..tiny:", ["tiny twice", "`atto..tiny` and in `tiny`", "my.yaml:8"]),
        ("{gpus_per_worker: 1}", "{gpus: 1}", ["`gpus`", "gpus_per_worker", "my.yaml:8"]),
        ("{gpus_per_worker: 1}", "{gpus_per_worker: many}", ["resources.gpus_per_worker", "'many'", "my.yaml:8"]),
        ("{gpus_per_worker: 1}", "{gpus_per_worker: -1}", ["resources.gpus_per_worker", "-1", "my.yaml:8"]),
        ("{gpus_per_worker: 1}", "3", ["must be a mapping", "my.yaml:8"]),
        ("{gpus_per_worker: 1}", "", ["must be a mapping", "my.yaml:8"]),
        ("{gpus_per_worker: 1}", "{num_workers: 3}", ["must divide `optim.batch_size`", "3", "my.yaml:8"]),
        ("backbone.size: [atto, tiny, huge]", "resources.num_workers: [1, 2]", ["section `resources`", "my.yaml:5"]),
    ],
)
def test_refusals(tmp_path, old, new, parts):
    assert old in TABLE
    with pytest.raises(ConfigError) as error:
        space(tmp_path, TABLE.replace(old, new))
    for part in parts:
        assert part in str(error.value)
