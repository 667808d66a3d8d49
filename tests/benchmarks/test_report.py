"""The page of a large study: how long it takes, how large it is, how soon a browser shows it. `make bench`."""

import time

import pytest

from search.page.files import write
from search.page.report import report_of
from tests.search.page.browser import needs_browser, tab
from tests.search.studies import Made, faces, study

LARGE = Made(trials=500, epochs=50, units=1000, seeds=5, supervised="tuned")
EIGHT = ("neutral", "glad", "sad", "surprised", "afraid", "disgusted", "angry", "contemptuous")
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of 500 trials of 50 epochs, and the seconds that it took."""
    folder, made = tmp_path_factory.mktemp("large"), Made(**{**vars(LARGE), "classes": EIGHT})
    run_folder = study(folder / "large", made, faces(folder, made)).path
    began = time.perf_counter()
    found = write(report_of([run_folder]), run_folder)
    return found, time.perf_counter() - began


def test_500_trials_take_less_than_30_seconds_and_8_megabytes(page):
    path, seconds = page
    size = path.stat().st_size / 1e6
    print(f"report of 500 trials x 50 epochs: {seconds:.1f} s, {size:.2f} MB")
    assert seconds < 30
    assert size < 8


@needs_browser
def test_the_first_picture_is_there_within_2_seconds(page, tmp_path):
    with tab(tmp_path / "browser") as opened:
        opened.open(page[0].as_uri())
        first = opened.value("firstPicture") / 1000
        print(f"first picture after {first:.2f} s, all charts after {opened.value('performance.now()') / 1000:.2f} s")
        assert first < 2
        assert opened.said == []
        assert opened.requests == [page[0].as_uri()]
