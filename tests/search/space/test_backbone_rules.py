"""A mask hides some cells and shows some, whatever backbone a space draws; a space that breaks this is refused."""

import pytest

from lssat.errors import ConfigError
from search.space.file import load

HALF_OF_A_HUNDRED = ", ".join(f"0.{number}" for number in range(30, 80))
"""As choices of `masking.ratio`, so many that 200 random points of a space miss a rare combination."""


def space(tmp_path, text, **pinned):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return load(path, "none", pinned, {})


REFUSED = {
    "tokens, fixed": ("fixed:\n  masking.ratio: 0.99\n", 2),
    "tokens, a choice": ("space:\n  masking.ratio: [0.5, 0.99]\n", 2),
    "tokens, the high end of a range": ("space:\n  masking.ratio: {low: 0.4, high: 0.99}\n", 2),
    "tokens, the high end of a range in steps": ("space:\n  masking.ratio: {low: 0.49, high: 0.99, step: 0.1}\n", 2),
    "nothing hidden": ("space:\n  masking.ratio: {low: 1e-17, high: 0.5}\n", 2),
    "tokens, smaller patches": ("fixed: {backbone.patch_size: 8}\nspace:\n  masking.ratio: [0.5, 0.99]\n", 3),
    "tokens, one of the patch sizes": (
        "space:\n  backbone.patch_size: [4, 8, 16]\n  masking.ratio: [0.5, 0.98]\n",
        3,
    ),
    "tokens, one of a range of patch sizes": (
        "fixed: {data.image_size: 96}\nspace:\n  backbone.patch_size: {low: 8, high: 24, step: 8}\n"
        "  masking.ratio: [0.95]\n",
        4,
    ),
    "tokens, the catalogue's patch size": (
        "fixed: {backbone.family: vit, backbone.size: huge, masking.ratio: 0.95}\n",
        1,
    ),
    "a name of the catalogue": ("fixed: {backbone.name: test_vit}\nspace: {masking.ratio: [0.99]}\n", 2),
    "pyramid": ("fixed: {backbone.family: resnet}\nspace:\n  masking.ratio: [0.5, 0.99]\n", 3),
    "pyramid, one of the units": (
        "fixed: {backbone.family: resnet}\nspace:\n  masking.unit: [4, 8, 16]\n  masking.ratio: [0.98]\n",
        4,
    ),
    "one family of many": (
        "fixed: {masking.unit: 4}\nspace:\n  backbone.family: [resnet, convnext, efficientnet, starnet, vit]\n"
        f"  masking.ratio: [{HALF_OF_A_HUNDRED}, 0.95]\n",
        4,
    ),
    "under a condition": (
        "space:\n  auxiliary: [off, on]\n  seed: [1, 2, 3, 4, 5]\n"
        f"  masking.ratio:\n    - {{choices: [{HALF_OF_A_HUNDRED}, 0.95], when: {{seed: [3]}}}}\n",
        4,
    ),
    "where the weight may be above 0": ("space:\n  aux_weight: {low: 0, high: 0.5}\n  masking.ratio: [0.99]\n", 3),
}


@pytest.mark.parametrize(("text", "line"), REFUSED.values(), ids=REFUSED)
def test_a_ratio_that_hides_all_or_nothing_is_refused(tmp_path, text, line):
    with pytest.raises(ConfigError, match=rf"`masking\.ratio` must hide some of the \d+ .*my\.yaml:{line}\)"):
        space(tmp_path, text)


def test_the_message_names_the_backbone_and_a_pinned_ratio(tmp_path):
    with pytest.raises(ConfigError, match=r"^vit atto: .*0\.99 leaves no patch visible.*\(--set\)$"):
        space(tmp_path, "space: {seed: [1, 2]}\n", **{"masking.ratio": 0.99})


@pytest.mark.parametrize(
    "text",
    [
        "fixed: {backbone.patch_size: 4}\nspace: {masking.ratio: [0.5, 0.99]}",
        "fixed: {backbone.family: resnet, masking.unit: 4}\nspace: {masking.ratio: {low: 0.4, high: 0.99}}",
        "fixed: {auxiliary: off, masking.ratio: 0.99}",
        "fixed: {aux_weight: 0, masking.ratio: 0.99}",
        "fixed: {masking.unit: 4}\nspace:\n  backbone.family: [vit, resnet]\n"
        "  masking.ratio: {choices: [0.99], when: {backbone.family: [resnet]}}",
        "fixed: {backbone.name: vit_tiny_patch16_dinov3_qkvb, masking.ratio: 0.99}",  # the study checks it
    ],
)
def test_what_can_be_masked_is_not_refused(tmp_path, text):
    space(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("space:\n  backbone.patch_size: [8, 12]", "`data.image_size` must be a multiple of the mask unit", 2),
        ("space:\n  backbone.patch_size: {low: 8, high: 16}", "must be a multiple of the mask unit", 2),
        ("space:\n  masking.unit: {low: 8, high: 16}", "must be a multiple of `masking.unit`", 2),
        ("fixed: {backbone.patch_size: 32}", "at least 16 mask units", 1),
        (
            "space:\n  backbone.family: [vit, resnet]\n  backbone.patch_size: [8, 16]",
            "`backbone.patch_size` is for flat-token backbones, but test_resnet",
            3,
        ),
    ],
)
def test_a_grid_that_no_backbone_can_have_is_refused(tmp_path, text, rule, line):
    with pytest.raises(ConfigError, match=rf"{rule}.*my\.yaml:{line}\)"):
        space(tmp_path, text + "\n")
