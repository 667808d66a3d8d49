"""What a process asks of Ray beside what `ray job submit` has settled. A job: `test_job_submit.py`."""

import json

import pytest

from lssat.errors import ConfigError
from lssat.on_ray import job

OWN = {"py_modules": ["/p/lssat"], "excludes": ["x"], "env_vars": {"A": "1", "B": "2"}}


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """The project in the folder of a job that was sent with it."""
    root = tmp_path / "_ray_pkg_0123" / "project"
    root.mkdir(parents=True)
    runtime_env = {"working_dir": "gcs://_ray_pkg_0123.zip", "env_vars": {"B": "3"}}
    monkeypatch.setenv(job.CONFIG, json.dumps({"runtime_env": runtime_env, "metadata": {}}))
    return root


def test_outside_of_jobs_everything_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv(job.CONFIG, raising=False)
    assert job.beside(OWN, tmp_path) == OWN
    job.check_outlives(tmp_path / "results", tmp_path)


def test_a_project_sent_with_its_job_is_not_sent_again(sent):
    assert job.beside(OWN, sent) == {"env_vars": {"A": "1"}}


def test_a_job_that_runs_a_project_of_the_head_sends_it(tmp_path, sent):
    assert job.beside(OWN, tmp_path) == {**OWN, "env_vars": {"A": "1"}}
    job.check_outlives(tmp_path / "results", tmp_path)


def test_results_in_the_folder_of_the_job_are_refused(tmp_path, sent):
    for inside in (sent / "results", sent.parent / "other"):
        with pytest.raises(ConfigError, match="which Ray deletes after it; name one outside by `--results`"):
            job.check_outlives(inside, sent)
    job.check_outlives(tmp_path / "results", sent)
