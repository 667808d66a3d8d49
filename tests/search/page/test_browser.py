"""The page in a real browser without a network: every chart is drawn, the console stays empty, nothing is asked for."""

import json
import shutil
from pathlib import Path

import pytest

from search.page.files import write
from search.page.report import report_of
from search.record.folder import Stage
from tests.search.page.browser import needs_browser, tab
from tests.search.page.test_page import HOSTILE, hostile_report
from tests.search.studies import Made, faces, study

pytestmark = needs_browser


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A tab without a page."""
    with tab(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(params=["whole", "interrupted", "without predictions", "without data", "without trials"])
def report(request, finished, tmp_path):
    """Of studies of which there is more or less to say."""
    if request.param == "interrupted":
        made = Made(ends=Stage.SEARCH)
        return report_of([study(tmp_path / "moods", made, faces(tmp_path, made)).path])
    folder = Path(shutil.copytree(finished, tmp_path / "moods"))
    if request.param == "without predictions":
        for path in folder.rglob("predictions-*.parquet"):
            path.unlink()
    elif request.param == "without data":
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["data"]["prepared"] = "/nowhere"
        (folder / "manifest.json").write_text(json.dumps(manifest))
    elif request.param == "without trials":
        shutil.rmtree(folder / "trials")
    return report_of([folder])


def test_a_page_on_disk_draws_every_chart_and_asks_for_nothing(opened, report, tmp_path):
    page = write(report, tmp_path / "out")
    opened.requests.clear()
    opened.open(page.as_uri())
    opened.value("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    opened.wait_for("[...document.querySelectorAll('[data-chart]')].every((each) => each.querySelector('svg'))")
    said, opened.said = opened.said, []
    assert said == []
    assert opened.requests == [page.as_uri()]


def test_nothing_on_a_page_can_send_what_is_on_it(opened, finished, tmp_path):
    opened.open(write(report_of([finished]), tmp_path).as_uri())
    opened.value("window.blocked = []; addEventListener('securitypolicyviolation', (e) => blocked.push(e.blockedURI))")
    opened.value("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/'}))")
    opened.wait_for("blocked.length > 0")
    opened.said.clear()


def test_hostile_text_is_not_run(opened, tmp_path):
    opened.open(write(hostile_report(HOSTILE), tmp_path).as_uri())
    assert opened.value("document.querySelectorAll('main img').length") == 1, "the picture alone"
    assert opened.value("document.querySelector('.canvas svg').textContent").count("alert(1)") > 0
    assert opened.value("document.querySelectorAll('script').length") == 3
