"""The answer and what to do next: of whole studies, cut ones, extended ones, and those that failed."""

import io

import pytest

from search.findings import picture
from search.page.sections import answer, next_steps
from search.page.study import read_study
from search.record.folder import Stage
from tests.search.page.answered import said_in
from tests.search.studies import Made, faces, study


@pytest.fixture
def made(tmp_path):
    """Makes a study; gives its folder."""

    def make(**wanted):
        of = Made(**wanted)
        return study(tmp_path / "results" / "moods", of, faces(tmp_path, of))

    return make


def page(folder, **of_reading):
    """The study as its page reads it."""
    return read_study(folder.path, "moods", **of_reading)


def test_a_study_whose_seeds_were_cut_by_hours_has_its_winner_on_the_page_and_in_the_picture(made, tmp_path):
    folder = made(seeds=4, cut_to=2)
    found = page(folder)
    assert "mean of 2 fresh seeds" in said_in(answer.section(found))["winner"]
    assert len(found.runs) == len(found.records[Stage.FINAL])
    picture.draw(folder, tmp_path / "tables.svg")
    assert "Final&#160;stage" in (tmp_path / "tables.svg").read_text()
