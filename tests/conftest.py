"""Under the tests, and only there, the shapes in the method's signatures are checked at every call."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

METHOD = ("masking", "texture", "target", "losses", "augment", "randaugment", "mixup", "erasing", "warp", "views", "encoders", "decoder", "model")
install_import_hook([f"lssat.{room}" for room in METHOD], "beartype.beartype")
