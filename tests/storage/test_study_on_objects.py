"""A study whose storage is an object store ends as one on a disk does, and outlives the machine of its driver."""

import json
import secrets

import pytest

from lssat.storage.place import Place
from tests.storage.s3 import BUCKET, KEY
from tests.storage.studies import SPACE, Study, kill, ray_of_three_cores, wait_for, write_faces

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "faces.parquet"
    write_faces(path)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, faces):
    """The tables of the study on this machine's disk, where nothing happened to it."""
    study = Study(tmp_path_factory.mktemp("here") / "study", faces)
    study.run()
    return study.table()


def named(name):
    return f"s3://{BUCKET}/{name}"


def test_a_study_on_s3_comes_to_the_winner_of_one_on_a_disk(store, faces, tmp_path, undisturbed):
    study = Study(tmp_path / "s", faces, store, named("whole"))
    said = study.run()
    assert study.table() == undisturbed
    assert "winner:" in said
    kept = store.names("whole/study/")
    assert not [name for name in kept if "/last/" in name], "of runs that are over the best checkpoint is kept"
    pointer = json.loads(store.client.get_object(Bucket=BUCKET, Key="whole/study/study.json")["Body"].read())
    assert {"study.db", "manifest.json", "report.html", "finals.csv"} <= pointer["files"].keys()
    assert {f"whole/study/study/{digest}" for digest in pointer["files"].values()} == {
        name for name in kept if name.startswith("whole/study/study/")
    }, "older copies are deleted"
    written = [file.read_bytes() for file in study.path.rglob("*") if file.is_file()]
    assert not any(KEY.encode() in content for content in written) and KEY not in said


def test_a_study_on_gs_comes_to_the_winner_of_one_on_a_disk(gcs, faces, tmp_path, undisturbed):
    study = Study(tmp_path / "s", faces, storage=gcs("whole"))
    study.run()
    assert study.table() == undisturbed
    kept = Place.of(gcs("whole/study")).sizes()
    assert "study.json" in kept and not [name for name in kept if "/last/" in name]


def test_a_new_head_goes_on_from_the_storage_alone(store, faces, tmp_path, undisturbed):
    """Driver killed, its disk gone: twice, within the search and within the final stage."""
    study = Study(tmp_path / "s", faces, store, named("head"))
    for epochs in (3, 8):
        process = study.start("--resume")
        wait_for(lambda: study.epochs() >= epochs)  # noqa: B023
        before = study.epochs()
        kill(process)
        study.lose_head()
    said = study.run("--resume")
    assert "rebuilt from s3://faces/head/study" in said
    assert before >= 8
    assert study.table() == undisturbed


def test_a_new_head_goes_on_from_a_folder_that_it_sees_alone(faces, tmp_path, undisturbed):
    study = Study(tmp_path / "s", faces, storage=tmp_path / "shared")
    process = study.start("--resume")
    wait_for(lambda: study.epochs() >= 8)
    kill(process)
    study.lose_head()
    said = study.run("--resume")
    assert f"rebuilt from {tmp_path}/shared/study" in said
    assert study.table() == undisturbed


def test_a_new_study_does_not_take_the_place_of_one_that_lost_its_head(store, faces, tmp_path):
    study = Study(tmp_path / "s", faces, store, named("kept"))
    process = study.start()
    wait_for(lambda: "kept/study/study.json" in store.names("kept/"))
    kill(process)
    study.lose_head()
    assert "holds a study of that name" in study.run(code=2)
    assert "kept/study/study.json" in store.names("kept/")


@pytest.fixture
def token(monkeypatch):
    """What Ray's processes of a test know each other by."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))


ONE_TRIAL = SPACE.replace("num_trials: 3", "num_trials: 1").replace("finalists: 1", "finalists: 0")
TWO_TRIALS = ONE_TRIAL.replace("num_trials: 1", "num_trials: 2").replace("max_concurrent: 1", "max_concurrent: 2")
GROUP = ["--set", "resources.num_workers=2", "--address"]


@pytest.mark.parametrize(("space", "how"), [(ONE_TRIAL, GROUP), (TWO_TRIALS, ["--address"])], ids=["group", "alone"])
def test_trials_on_a_cluster_that_stream_from_s3_train_as_those_that_stream_from_a_disk(
    store, tmp_path, token, space, how
):
    """Alone: two at a time, while a third one's place is free for who decodes."""
    faces = tmp_path / "faces.parquet"
    write_faces(faces, train=600, others=300)  # two row groups at least, one for each worker
    name = tmp_path.name
    here = Study(tmp_path / "here", faces, storage=tmp_path / "shared", streams=True, space=space)
    there = Study(tmp_path / "there", faces, store, named(name), streams=True, space=space)
    with ray_of_three_cores(store.environment) as address:
        for study in (here, there):
            study.run(*how, address)
    assert there.table() == here.table() and there.epochs() == here.epochs() > 0
    shards = {each.split("/")[-1].split("-")[0] for each in store.names(f"{name}/.data/")}
    assert {"train", "val", "test"} <= shards, "from there they are read"


def test_a_group_on_a_cluster_without_a_dashboard_is_told_before_it_waits_for_ever(faces, tmp_path, token):
    study = Study(tmp_path / "s", faces, storage=tmp_path / "shared")
    with ray_of_three_cores({}, dashboard="false") as address:
        assert "--include-dashboard=true" in study.run(*GROUP, address, code=2)


@pytest.mark.parametrize("storage", ["s3://no-such-bucket/x", "s3://A:B@bucket/x"])
def test_a_storage_that_refuses_is_told_before_anything_is_made(store, faces, tmp_path, storage):
    study = Study(tmp_path / "s", faces, store, storage)
    said = study.run(code=2)
    assert ("make the bucket" in said or "must hold no key" in said) and not study.path.exists()
