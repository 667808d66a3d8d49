"""The file for Kubernetes: KubeRay accepts it, it installs what is locked, holds no secret, and lets nobody else in."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[4]
TEXT = (ROOT / "cluster" / "kuberay.yaml").read_text()
SCHEMA = json.loads(Path(__file__).with_name("rayjob.json").read_text())


@pytest.fixture
def documents():
    return {document["kind"]: document for document in yaml.safe_load_all(TEXT)}


@pytest.fixture
def job(documents):
    return documents["RayJob"]


def groups(job):
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_it_is_a_ray_job_as_the_custom_resource_is_defined(job):
    Draft202012Validator.check_schema(SCHEMA)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(job)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.backOffLimit", 3),
        ("spec.backoffLimit", "3"),
        ("spec.submissionMode", "HttpMode"),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0),
    ],
)
def test_a_field_that_is_wrong_is_found(job, path, value):
    *parents, last = path.split(".")
    within = job
    for name in parents:
        within = within[name]
    within[last] = value
    assert list(Draft202012Validator(SCHEMA).iter_errors(job))


def test_it_ends_begins_again_and_leaves_nothing_running(job):
    spec = job["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["backoffLimit"] > 0
    words = shlex.split(shlex.split(spec["entrypoint"])[2].replace(";", " "))
    assert "--resume" in words, "a new cluster goes on with the study"
    claims = {
        volume["name"]: volume["persistentVolumeClaim"] for volume in groups(job)[0]["template"]["spec"]["volumes"]
    }
    mounts = {mount["mountPath"]: mount["name"] for mount in container(groups(job)[0])["volumeMounts"]}
    assert claims[mounts[words[words.index("--results") + 1]]], "results outlive the head"


def container(group):
    (only,) = group["template"]["spec"]["containers"]
    return only


def test_the_token_is_named_and_no_secret_stands_there(job, documents):
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token", "secretName": "l-ssat-search-token"}
    assert "Secret" not in documents
    assert not re.search(r"[0-9a-f]{32}|AKIA|password", TEXT)


def test_only_its_pods_and_the_operator_reach_it(job, documents):
    policy = documents["NetworkPolicy"]["spec"]
    chosen = policy["podSelector"]["matchLabels"]
    assert all(chosen.items() <= group["template"]["metadata"]["labels"].items() for group in groups(job))
    (rule,) = policy["ingress"]
    assert rule["from"][0] == {"podSelector": {"matchLabels": chosen}}
    assert "dashboard-host" not in groups(job)[0]["rayStartParams"]
    for group in groups(job):
        assert group["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
        assert "RAY_enable_metrics_collection" in {each["name"] for each in container(group)["env"]}


def test_all_run_the_lock_in_one_image(job, documents):
    images = {container(group)["image"] for group in groups(job)}
    images.add(documents["Pod"]["spec"]["containers"][0]["image"])
    assert len(images) == 1
    dockerfile = (ROOT / "cluster" / "Dockerfile").read_text()
    assert f"-t {images.pop()} " in dockerfile
    assert "COPY Makefile requirements.lock ./\nRUN make setup" in dockerfile
    version = re.search(r"^ray==(.*)$", (ROOT / "requirements.lock").read_text(), re.M)[1]
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == version


def test_header_says_how():
    header = TEXT.split("\n\napiVersion")[0]
    assert all(line.startswith("#") or not line for line in header.splitlines())
    for words in (
        "kubectl create secret generic l-ssat-search-token",
        "kubectl apply -f cluster/kuberay.yaml",
        "kubectl port-forward",
        "tensorboard --host 127.0.0.1 --port 6006",
        "results/faces/report.html",
        "kubectl delete -f cluster/kuberay.yaml",
        "Cost per hour",
    ):
        assert words in header
