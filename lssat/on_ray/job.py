"""What `ray job submit` has settled for a process that it started (Ray 2.60)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lssat.errors import ConfigError

CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The variable of the environment that a job's driver finds its settings in."""


def folder(root: Path) -> Path | None:
    """The folder that was sent with the job, which Ray deletes after it; None where `root`, the project, did not come
    with a job.
    """
    if "working_dir" not in _environment():
        return None
    home = next((each for each in (root, *root.parents) if each.name.startswith("_ray_pkg_")), None)
    return home.resolve() if home else None


def check_outlives(results: Path, root: Path) -> None:
    """Raises ConfigError where `results` would be deleted with the job's folder."""
    home = folder(root)
    if home and results.resolve().is_relative_to(home):
        raise ConfigError(
            "the results would lie in the folder of the job, which Ray deletes after it; name one outside by "
            "`--results`, such as `--results ~/results`"
        )


def beside(own: dict[str, Any], root: Path) -> dict[str, Any]:
    """What of the runtime environment `own` is to be asked for: Ray takes none that says again what the job's says, and
    a project that was sent with a job reaches the workers with it.
    """
    settled = _environment()
    left = {name: value for name, value in own.items() if name not in settled or name == "env_vars"}
    if folder(root):
        left.pop("py_modules", None)
        left.pop("excludes", None)
    variables = {name: value for name, value in own.get("env_vars", {}).items() if name not in settled["env_vars"]}
    return left | {"env_vars": variables}


def _environment() -> dict[str, Any]:
    """The job's runtime environment; an empty one outside of jobs."""
    config = json.loads(os.environ.get(CONFIG, "{}"))
    return {"env_vars": {}} | (config.get("runtime_env") or {})
