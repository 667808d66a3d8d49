"""What a space can draw, looked at through the keys that decide which encoder is built."""

from search.space import file as space_file
from search.space.drawable import backbones


def load(path, text, **pinned):
    path.write_text(text)
    return space_file.load(path, "none", pinned, {})


def test_every_encoder_that_can_be_built_is_there_once(tmp_path):
    space = load(
        tmp_path / "s.yaml",
        """
fixed: {masking.unit: 16}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, femto]
  backbone.patch_size: {choices: [8, 16], when: {backbone.family: [vit]}}
  head.pooling:
    - {choices: [native, mean], when: {streams: [MRGB/RLDP/CRGB]}}
    - {choices: [native], when: {streams: [MRGB/RRGB/CRGB]}}
  streams: [MRGB/RRGB/CRGB, MRGB/RLDP/CRGB]
  optim.lr: {low: 1e-4, high: 1e-3, log: on}
  aux_weight: [0.1, 0.5]
""",
    )
    seen = [_encoder(config) for config, _ in backbones(space)]
    assert len(seen) == len(set(seen))
    assert set(seen) == {_encoder(space.example(seed)) for seed in range(400)}


def _encoder(config):
    return config.backbone.family, config.backbone.size, config.backbone.patch_size, config.head.pooling


def test_each_encoder_has_the_ratios_that_it_can_be_masked_with(tmp_path):
    space = load(
        tmp_path / "s.yaml",
        """
fixed: {masking.unit: 8}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto]
  masking.ratio:
    - {choices: [null, 0.5], when: {backbone.family: [vit]}}
    - {low: 0.3, high: 0.9, when: {backbone.family: [resnet]}}
  auxiliary: [off, on]
""",
    )
    found = [(config.backbone.family, config.auxiliary, set(ratios)) for config, ratios in backbones(space)]
    assert sorted(found, key=lambda entry: entry[:2]) == [
        ("resnet", False, set()),
        ("resnet", True, {0.3, 0.9}),
        ("vit", False, set()),
        ("vit", True, {None, 0.5}),
    ]
