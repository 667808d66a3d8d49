"""The faces that real images of the deepfake task show and that its fakes are made of."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lssat.data.synthetic.blending import disturb
from lssat.data.synthetic.camera import add_blur_and_grain, canvas_side, capture
from lssat.data.synthetic.expression import draw_mood
from lssat.data.synthetic.methods import Face
from lssat.data.synthetic.render import render
from lssat.data.synthetic.traits import draw_occasion_attributes, draw_person, draw_person_attributes, draw_scene


@lru_cache(maxsize=4)
def untouched_face(key: tuple[int, ...], image_size: int) -> Face:
    """The face of these random numbers; drawn once, since an image and the fakes made of it follow each other.

    Half of the faces are disturbed as a whole, so that only what differs within a picture gives a fake away.
    """
    rng = np.random.default_rng(key)
    attributes = draw_occasion_attributes(draw_person_attributes(rng), rng)
    person, scene = draw_person(attributes, rng), draw_scene(attributes, rng)
    acts = draw_mood(attributes["Smiling"], attributes["Mouth_Slightly_Open"], rng)
    portrait = render(person, scene, acts, canvas_side(image_size), rng)
    picture = add_blur_and_grain(capture(portrait.rgb, image_size, rng), rng)
    disturbed = disturb(picture, rng)
    for shared in (picture, disturbed, portrait.points):
        shared.flags.writeable = False
    if rng.random() < 0.5:
        return Face(disturbed, picture, portrait.points)
    return Face(picture, disturbed, portrait.points)
