"""`--watch`: the page of a study that runs, on this machine alone, with nothing beside it and nothing half made."""

import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lssat.errors import ConfigError
from search.page import watch
from search.record.folder import RunFolder
from search.record.locking import locked
from tests.search.page.browser import needs_browser, tab
from tests.search.records import epoch

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished study, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "moods"))


@pytest.fixture
def served(study, tmp_path):
    """The report of the study, served."""
    found = watch.Served(tmp_path / "served")
    found.renew([study], with_faces=True)
    with found.on(0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found.port = server.server_port
        yield found
        server.shutdown()
        thread.join()


def answer(served, path, method="GET", host=None):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{served.port}")
    connection.endheaders()
    response = connection.getresponse()
    return response.status, response.read().decode(errors="replace"), response


def goes_on(study):
    """The study comes further by a trial."""
    copy = study / "trials" / "0099"
    shutil.copytree(study / "trials" / "0000", copy)
    (copy / "outcome.json").unlink()


def test_the_page_is_that_of_the_disk_with_a_script_more(served, study):
    status, page, response = answer(served, "/")
    on_disk = (served.folder / "report.html").read_text()
    assert (status, response.headers["Cache-Control"]) == (200, "no-store")
    script = watch.SCRIPT.read_text()
    assert page.replace(f"<script>{script}</script>", "").replace(' data-version="1"', "") == on_disk
    assert "fetch(" not in on_disk.rpartition("</script>")[2] and script not in on_disk
    assert not (study / "report.html").exists(), "a page that is watched writes nothing into the study"


def test_files_beside_the_page_are_served_by_their_names_and_nothing_else_is(served):
    status, table, response = answer(served, "/report/finalists.csv")
    assert (status, response.headers["Content-Type"]) == (200, "text/csv")
    assert table.startswith("arm,")
    (served.folder / "report" / "folder").mkdir()
    (served.folder / "secret").touch()
    for path in ("/report/", "/report", "/secret", "/report.json", "/report/../secret", "/report/%2e%2e/secret"):
        assert answer(served, path)[0] == 404, path
    for path in ("//etc/passwd", "/report//etc/passwd", "/report/folder", "/%00", "/report/finalists.csv/", "/.."):
        assert answer(served, path)[0] == 404, path
    assert answer(served, "/", method="POST")[0] == 501
    assert answer(served, "/", method="DELETE")[0] == 501


def test_a_page_of_elsewhere_cannot_have_it_under_a_name_of_its_own(served):
    assert answer(served, "/", host="evil.example")[0] == 403
    assert answer(served, "/", host=f"evil.example:{served.port}")[0] == 403
    assert answer(served, "/", host="localhost:9")[0] == 200, "through a tunnel the port is another"


def test_it_is_made_anew_when_the_study_comes_further_and_not_else(study, served):
    assert answer(served, "/version")[1] == "1"
    before = watch.state_of([study])
    assert watch.state_of([study]) == before
    goes_on(study)
    assert watch.state_of([study]) != before
    served.renew([study], with_faces=True)
    assert answer(served, "/version")[1] == "2"
    assert "<dd>19</dd>" in answer(served, "/")[1], "trials"


def test_the_end_of_a_study_is_seen_though_nothing_more_is_written(study):
    with locked(RunFolder(study)):
        before = watch.state_of([study])
        assert watch.state_of([study]) == before
    assert watch.state_of([study]) != before


@pytest.mark.parametrize("path", ["manifest.json", "trials/0000/outcome.json", "trials/0000/metrics.jsonl"])
def test_whatever_is_written_of_a_study_is_seen(study, path):
    before = watch.state_of([study])
    with (study / path).open("a") as file:
        file.write(" ")
    assert watch.state_of([study]) != before


def test_a_page_is_whole_while_the_next_one_is_made(served, study):
    ends, pages = threading.Event(), []

    def ask():
        while not ends.is_set():
            pages.append(answer(served, "/")[1])

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(3):
        served.renew([study], with_faces=True)
    ends.set()
    thread.join()
    assert pages and all(page.rstrip().endswith("</html>") for page in pages)
    assert [int(re.search('data-version="([0-9]+)"', page)[1]) for page in pages] == sorted(
        int(re.search('data-version="([0-9]+)"', page)[1]) for page in pages
    )


def test_a_port_that_is_taken_is_one_sentence(finished):
    with socket.socket() as taken:
        taken.bind((watch.HOST, 0))
        taken.listen()
        with pytest.raises(
            ConfigError, match=r"port \d+ of 127.0.0.1 cannot be had \(Address already in use\); choose"
        ):
            watch.watch([finished], taken.getsockname()[1])


@pytest.fixture
def process(study):
    """`--watch` as it is typed, and its address."""
    words = [sys.executable, ROOT / "search" / "report.py", study, "--watch", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as found:
        found.address = found.stdout.readline().strip()
        yield found
        found.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_well(process, number):
    assert re.fullmatch(r"http://127.0.0.1:\d+/", process.address)
    assert "Ctrl-C ends it" in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (128 + number, "no longer watched\n")


def test_a_study_that_is_gone_leaves_the_page_as_it_was(process, study):
    port = int(process.address.rstrip("/").rpartition(":")[2])
    shutil.rmtree(study)
    lines = [process.stdout.readline() for _ in range(2)]
    assert "the page stays as it was: there is no study in" in lines[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/version")
    assert connection.getresponse().read() == b"1"


class Obstructed(watch.Served):
    """A file is where the folder of tables must be, until the page was tried twice; then it is made, and Ctrl-C."""

    tried = 0

    def renew(self, folders, with_faces):
        self.tried += 1
        parts = self.folder / "report"
        parts.unlink(missing_ok=True)
        if self.tried <= 2:
            parts.touch()
        super().renew(folders, with_faces)
        raise KeyboardInterrupt


def test_what_passes_leaves_no_stale_page_and_is_said_once(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(watch, "EVERY_S", 0.01)
    monkeypatch.setattr(watch, "REST", 0)
    served = Obstructed(tmp_path / "served")
    served.folder.mkdir()
    shown = watch.state_of([study])
    goes_on(study)
    with pytest.raises(KeyboardInterrupt):
        watch._follow(served, [study], True, shown)
    assert (served.tried, served.version) == (3, 1)
    assert [line.partition(" in")[0][:28] for line in capsys.readouterr().out.splitlines()] == [
        "the page stays as it was: th"
    ]


@needs_browser
def test_the_open_page_becomes_the_newer_one_where_the_reader_is(process, study, tmp_path):
    with tab(tmp_path / "browser") as page:
        page.open(process.address)
        page.value("scrollTo({top: 400, behavior: 'instant'})")
        assert page.value("scrollY") == 400
        goes_on(study)
        page.wait_for("document.documentElement.dataset.version === '2'")
        page.wait_for("document.documentElement.dataset.drawn === 'yes' && scrollY === 400")
        time.sleep(0.2)
        assert page.value("scrollY") == 400
        assert page.said == []
        assert {request.rpartition("/")[2] for request in page.requests} == {"", "version"}
        assert {request.rpartition("/")[0] + "/" for request in page.requests} == {process.address}


def test_an_epoch_more_is_seen(study):
    before = watch.state_of([study])
    from search.record.trials import TrialRecord

    TrialRecord(study / "trials" / "0000").append(epoch(5, 0.9, 5), 10.0)
    assert watch.state_of([study]) != before
