"""A key of an older version is refused wherever a space file, or `--set`, may name a key: with its new name and its
location.
"""

import pytest

from lssat.config import RENAMED_KEYS
from lssat.errors import ConfigError
from search.space.file import load

VALUES = {
    "target.lbp_method": "uniform",
    "target.lbp_points": 16,
    "target.lbp_radius": 2.0,
    "target.ldp_k": 2,
    "target.ldp_signed": "on",
    "backbone.trainable": "head",
}
IN_A_FILE = {
    "fixed": ("fixed:\n  {key}: {value}\n", 2),
    "fixed of a profile": ("profiles:\n  laptop:\n    fixed:\n      {key}: {value}\n", 4),
    "choices": ("space:\n  seed: [1, 2]\n  {key}: [{value}]\n", 3),
    "an entry": ("space:\n  {key}: {{choices: [{value}], when: {{auxiliary: on}}}}\n", 2),
    "a range": ("space:\n  {key}: {{low: 1, high: 2}}\n", 2),
    "variants": ("space:\n  {key}:\n    - {{choices: [{value}], when: {{auxiliary: on}}}}\n", 2),
    "space of a profile": ("space: {{seed: [1, 2]}}\nprofiles:\n  laptop:\n    space: {{{key}: [{value}]}}\n", 4),
    "taken out by a profile": ("profiles:\n  laptop:\n    space:\n      {key}: null\n", 4),
    "when": ("space:\n  seed: {{choices: [1, 2], when: {{{key}: [{value}]}}}}\n", 2),
    "when of a variant": ("space:\n  seed:\n    - {{choices: [1]}}\n    - {{choices: [2], when: {{{key}: 1}}}}\n", 4),
}


def message(tmp_path, text, **pinned):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path, "laptop", pinned, {})
    return str(error.value)


def test_every_renamed_key_is_tried():
    assert VALUES.keys() == RENAMED_KEYS.keys()


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.parametrize(("text", "line"), IN_A_FILE.values(), ids=IN_A_FILE)
def test_an_old_key_in_a_file_is_refused_with_its_new_name(tmp_path, key, text, line):
    said = message(tmp_path, text.format(key=key, value=VALUES[key]))
    assert f"`{key}` is called `{RENAMED_KEYS[key]}` now" in said
    assert f"my.yaml:{line})" in said


@pytest.mark.parametrize("key", VALUES)
def test_an_old_key_on_the_command_line_is_refused_with_its_new_name(tmp_path, key):
    said = message(tmp_path, "space: {seed: [1, 2]}\n", **{key: VALUES[key]})
    assert said == f"`{key}` is called `{RENAMED_KEYS[key]}` now (--set)"
