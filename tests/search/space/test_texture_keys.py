"""Texture settings are drawn where some stream of the trial may read them: with the auxiliary task always, without it
where the classified stream is that texture.
"""

import random

import pytest

from lssat.errors import ConfigError
from search.space.definition import is_read_without_auxiliary
from search.space.file import load

STREAMS = "[MRGB/RLBP/CRGB, MRGB/RRGB/CLBP, MLBP/RLBP/CLDP]"
TEXTURES = "  texture.lbp_points: [8, 16]\n  texture.ldp_k: [2, 3]\n"


def space(tmp_path, text, **pinned):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return load(path, "none", pinned, {})


class RandomTrial:
    def __init__(self, seed):
        self._random = random.Random(seed)

    def suggest_categorical(self, name, choices):
        return self._random.choice(choices)


def samples(found):
    return [found.sample(RandomTrial(seed)) for seed in range(200)]


def keys(found):
    return [parameter.key for parameter in found.parameters]


@pytest.mark.parametrize(
    "text",
    [
        f"space:\n  auxiliary: [on, off]\n  streams: {STREAMS}\n{TEXTURES}",
        f"space:\n{TEXTURES}  streams: {STREAMS}\n  auxiliary: [on, off]\n",
        f"space:\n{TEXTURES}  auxiliary: [on, off]\n  streams:\n"
        f"    - {{choices: {STREAMS}, when: {{auxiliary: [on]}}}}\n"
        f"    - {{choices: {STREAMS}, when: {{auxiliary: [off]}}}}\n",
    ],
    ids=["after", "before", "between"],
)
def test_without_the_auxiliary_task_the_classified_stream_decides(tmp_path, text):
    seen = set()
    for sampled in samples(space(tmp_path, text)):
        classified = sampled["streams"][-3:]
        seen.add((sampled["auxiliary"], classified))
        assert ("texture.lbp_points" in sampled) == (sampled["auxiliary"] or classified == "LBP")
        assert ("texture.ldp_k" in sampled) == (sampled["auxiliary"] or classified == "LDP")
    assert len(seen) == 6


@pytest.mark.parametrize("classified", ["RGB", "LBP", "LDP"])
def test_streams_that_are_fixed_decide_alike(tmp_path, classified):
    text = f"fixed: {{streams: MRGB/RLBP/C{classified}}}\nspace:\n  auxiliary: [on, off]\n{TEXTURES}"
    for sampled in samples(space(tmp_path, text)):
        assert ("texture.lbp_points" in sampled) == (sampled["auxiliary"] or classified == "LBP")
        assert ("texture.ldp_k" in sampled) == (sampled["auxiliary"] or classified == "LDP")


def test_a_baseline_that_classifies_a_texture_can_be_searched_alone(tmp_path):
    text = "fixed: {auxiliary: off, streams: MRGB/RRGB/CLBP}\nspace:\n  texture.lbp_points: [8, 16]\n"
    found = space(tmp_path, text)
    assert {found.config(sampled).texture.lbp_points for sampled in samples(found)} == {8, 16}


@pytest.mark.parametrize("classified", ["RGB", "LBP"])
def test_a_texture_that_no_trial_reads_is_refused(tmp_path, classified):
    text = f"fixed: {{auxiliary: off, streams: MLDP/RLDP/C{classified}}}\nspace:\n  texture.ldp_k: [2, 3]\n"
    with pytest.raises(ConfigError, match=r"`texture\.ldp_k` is never drawn: .* classified stream .*my\.yaml:3\)"):
        space(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        f"space:\n{TEXTURES}  streams: {STREAMS}\n  optim.lr: [1e-3, 2e-3]\n",
        f"fixed: {{auxiliary: on}}\nspace:\n  optim.lr: [1e-3, 2e-3]\n{TEXTURES}  streams: {STREAMS}\n",
        "space:\n  texture.lbp_points: [8, 16]\n  auxiliary: [on, off]\n"
        "  streams: [MRGB/RLBP/CLBP, MRGB/RRGB/CLBP]\n  optim.lr: [1e-3, 2e-3]\n",
    ],
    ids=["auxiliary by default", "auxiliary fixed", "every classified stream the same texture"],
)
def test_where_nothing_decides_the_order_is_that_of_the_file(tmp_path, text):
    """Draws follow this order, and those of a study that has begun are kept."""
    found = space(tmp_path, text)
    written = [line.split(":")[0].strip() for line in text.partition("space:\n")[2].splitlines()]
    assert keys(found) == written
    assert not any(found.reads(parameter) & set(written) for parameter in found.parameters)


def test_streams_are_not_waited_for_where_no_classified_stream_is_the_texture(tmp_path):
    text = (
        f"space:\n  auxiliary: [on, off]\n{TEXTURES}"
        f"  streams: {{choices: {STREAMS}, when: {{auxiliary: [on]}}}}\n  optim.lr: [1e-3, 2e-3]\n"
    )
    found = space(tmp_path, text)
    assert keys(found) == ["auxiliary", "optim.lr", "texture.lbp_points", "texture.ldp_k", "streams"]
    for sampled in samples(found):
        assert ("texture.lbp_points" in sampled) == ("texture.ldp_k" in sampled) == sampled["auxiliary"]


@pytest.mark.parametrize(
    ("key", "streams", "expected"),
    [
        ("texture.lbp_points", "MRGB/RRGB/CLBP", True),
        ("texture.lbp_points", "MLBP/RLBP/CLDP", False),
        ("texture.ldp_k", "MRGB/RRGB/CLDP", True),
        ("texture.ldp_signed", "MLDP/RLDP/CRGB", False),
        ("target.encoding", "MRGB/RRGB/CLDP", False),
        ("masking.ratio", "MRGB/RRGB/CRGB", False),
        ("optim.lr", "MRGB/RRGB/CRGB", True),
    ],
)
def test_what_the_supervised_baseline_reads(key, streams, expected):
    assert is_read_without_auxiliary(key, streams) is expected
