"""The dashboard on a real port of this machine: what a browser gets, while a study grows too, and what is refused."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from lssat.errors import ConfigError
from search.dashboard_view import server as module
from search.dashboard_view.server import Dashboard, server
from tests.search.dashboard_view.studies import LBP, RESNET, all_that_can_become_of_a_trial, begun, trial

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def served(folder, panels):
    """The address of the dashboard of a study."""
    panels.mkdir()
    with server(Dashboard(folder, panels), 0) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        assert serving.server_address[0] == "127.0.0.1"
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def get(address, path="/api/studies/0"):
    with urllib.request.urlopen(f"{address}{path}", timeout=60) as answer:
        body = answer.read()
        return json.loads(body) if path.startswith("/api") else (answer.headers["Content-Type"], body)


def attributes(of):
    return {each["key"]: each["value"] for each in of["user_attrs"]}


def test_a_browser_gets_trials_notes_and_panels(tmp_path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    picture = b"\x89PNG of trial 1"
    folder.record("trials", "0001").panel.write_bytes(picture)
    with served(folder, tmp_path / "panels") as address:
        study = get(address)
        trials = study["trials"]
        (artifact,) = trials[1]["artifacts"]
        of_panel = get(address, f"/artifacts/0/1/{artifact['artifact_id']}")
        assert get(address, "/dashboard/studies/0")[0].startswith("text/html")
        csv = get(address, "/csv/0")[1].decode()
        importances = get(address, "/api/studies/0/param_importances")
    assert (study["name"], study["directions"], study["objective_names"]) == ("s", ["maximize"], ["score"])
    states = ["Complete", "Pruned", "Waiting", "Waiting", "Pruned", "Fail"]
    assert [each["state"] for each in trials] == states
    assert "out of memory with 1 row" in trials[4]["note"]["body"] and trials[4]["constraints"] == [1.0]
    assert [each["name"] for each in study["union_search_space"]] == [
        *("backbone.name", "backbone.patch_size", "optim.lr", "streams", "target.encoding")
    ]
    waiting = {each["name"]: each["param_external_value"] for each in trials[2]["fixed_params"]}
    assert waiting == {key: str(value) for key, value in (RESNET | LBP).items()}, "what is shown of one that waits"
    assert of_panel == ("image/png", picture) and artifact["filename"] == "reconstruction.png"
    assert attributes(trials[0])["backbone"] == "test_vit" and study["has_intermediate_values"]
    assert "Param target.encoding" in csv and "@" not in csv.splitlines()[0]
    assert "param_importances" in importances


def test_new_trials_and_epochs_appear_while_it_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    folder, space = begun(tmp_path / "s")
    trial(folder, space, 0, RESNET | LBP, [0.1])
    with served(folder, tmp_path / "panels") as address:
        assert len(get(address)["trials"]) == 1
        trial(folder, space, 1, RESNET | LBP, [0.1, 0.2, 0.3])
        assert [len(each["intermediate_values"]) for each in get(address)["trials"]] == [1, 3]
        kept = folder.manifest.read_text()
        folder.manifest.unlink()
        assert len(get(address)["trials"]) == 2, "what is being replaced stays as it was"
        folder.manifest.write_text(kept)


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/studies/0"), ("POST", "/api/studies"), ("PUT", "/api/studies/0/note"), ("PATCH", "/")],
)
def test_nothing_can_be_written(tmp_path, method, path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    with served(folder, tmp_path / "panels") as address:
        request = urllib.request.Request(f"{address}{path}", data=b"{}", method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 403
        assert "nothing can be written" in json.loads(refused.value.read())["reason"]
        assert len(get(address)["trials"]) == 6


def test_a_page_of_elsewhere_cannot_have_it_under_a_name_of_its_own(tmp_path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    with served(folder, tmp_path / "panels") as address:
        for host, code in {"evil.example": 403, "evil.example:8080": 403, "localhost:9": 200}.items():
            request = urllib.request.Request(f"{address}/api/studies/0", headers={"Host": host})
            try:
                found = urllib.request.urlopen(request, timeout=60).status
            except urllib.error.HTTPError as refused:
                found = refused.code
            assert found == code, host


@pytest.mark.parametrize("port", [-1, 70000, "taken"])
def test_a_port_that_cannot_be_had_is_said_in_a_sentence(port):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1] if port == "taken" else port
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 cannot be had .*--port 0"):
            server(lambda environ, start_response: [], port)


def start(folder, *words):
    """The command, in the folder that it is about."""
    command = [sys.executable, ROOT / "search" / "dashboard.py", ".", *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_serves_until_ctrl_c(tmp_path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    with start(folder.path, "--port", "0") as process:
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
        assert len(get(address)["trials"]) == 6
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert (process.stdout.read(), process.stderr.read()) == ("", "the dashboard has ended\n")


def test_bad_input_is_one_line_and_exit_code_2(tmp_path):
    with start(tmp_path) as process:
        said = process.stderr.read()
    assert process.returncode == 2
    assert re.fullmatch(r"error: .*is no manifest of a study.*give a run folder.*\n", said)
