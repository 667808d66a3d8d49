"""What a space can draw, looked at through the keys that decide which encoder is built."""

from search.space import file as space_file
from search.space.reach import backbone_configs


def load(path, text, **pinned):
    path.write_text(text)
    return space_file.load(path, "none", pinned, {})


def test_every_combination_of_choices_is_drawn_once(tmp_path):
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
    seen = [
        (c.backbone.family, c.backbone.size, c.backbone.patch_size, c.head.pooling, c.streams)
        for c in backbone_configs(space)
    ]
    assert len(seen) == len(set(seen))
    corners = (space.example(seed) for seed in range(400))
    assert set(seen) == {
        (c.backbone.family, c.backbone.size, c.backbone.patch_size, c.head.pooling, c.streams) for c in corners
    }
