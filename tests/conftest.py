"""Under the tests, and only there, the shapes in the method's signatures are checked at every call."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

METHOD = ("lssat.inputs", "lssat.model", "lssat.train.losses", "lssat.train.views")
install_import_hook(list(METHOD), "beartype.beartype")

pytest_plugins = ["tests.faults.injected"]
