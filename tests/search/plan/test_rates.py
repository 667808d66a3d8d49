"""A speed is of a device."""

from lssat.config import build
from search.plan.rates import classification_speed


def test_a_speed_is_measured_on_a_device_that_is_named():
    speed = classification_speed(build({"data.image_size": 32, "masking.unit": 8, "backbone.name": "test_resnet"}), 5)
    assert speed.images_per_s > 0 and speed.measured_on
