"""The answer and what to do next: of whole studies, cut ones, extended ones, and those that failed."""

import json
import shutil
from dataclasses import replace

import pytest

from lssat.files import write_json
from search.claims.cost import Cost
from search.findings import picture, winner
from search.page import report
from search.page.document import Chart
from search.page.sections import answer, curves, failures, next_steps
from search.page.study import read_study
from search.record.folder import RunFolder, Stage
from search.record.locking import locked
from search.record.manifest import read_manifest
from search.record.trials import Outcome, Status
from tests.search import final_stage
from tests.search.page.answered import said_in, tables_in
from tests.search.page.made import begun, on_page, trial
from tests.search.records import epoch
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


def reopened(folder, change):
    """The study with the records of its openings changed."""
    manifest = read_manifest(folder.manifest)
    change(manifest.content["test_opened"])
    write_json(folder.manifest, manifest.content)


def test_a_study_that_goes_on_after_its_test_does_not_call_the_test_split_closed(made):
    folder = made()
    manifest = read_manifest(folder.manifest)
    chosen = manifest.content["test_opened"][-1]["chosen"]
    manifest.begin_final_stage(manifest.space.search.model_copy(update={"final_seeds": 5}))
    said = said_in(answer.section(page(folder)))
    assert "winner" not in said and "closed" not in said["open"]
    score = manifest.test_results[chosen]["score"]
    assert f"the test split was opened for {chosen}, which got macro_f1 {score:.4f} there" in said["open"]
    reopened(folder, list.clear)
    assert "the test split is closed" in said_in(answer.section(page(folder)))["open"]


def test_validation_and_test_are_never_said_of_different_seeds(made):
    folder = made()
    winning = page(folder).winner.name
    for seeds_left in (1, 2):

        def forget(openings, seeds_left=seeds_left):
            results = openings[0]["results"]
            others = [name for name in results if name.startswith(f"{winning}-seed") and name != openings[0]["chosen"]]
            for name in others[: 3 - seeds_left]:
                results.pop(name, None)

        kept = json.loads(folder.manifest.read_text())
        reopened(folder, forget)
        assert page(folder).winner is None
        write_json(folder.manifest, kept)
    assert page(folder).winner.name == winning


def fail(folder):
    """The study with one failed run of each arm, whose best trial was scored on test."""
    found = page(folder)
    best, card = found.complete[0], found.winner.card
    for arm in {run.arm.name for run in found.runs}:
        run = next(run for run in found.runs if run.arm.name == arm)
        folder.record(Stage.FINAL, run.name).end(Outcome(Status.FAILED, "its process died", 1.0))
    reopened(
        folder, lambda openings: openings.append({"time": "", "chosen": best.trial, "results": {best.trial: card}})
    )


def test_a_final_stage_that_failed_is_not_said_to_be_none(made):
    folder = made()
    fail(folder)
    found = page(folder)
    said, steps = said_in(answer.section(found)), said_in(next_steps.section(found))
    assert "its one run in the search" in said["winner"]
    assert winner.NO_FINALIST in said["untested"] and found.failed_finals[0] in said["untested"]
    assert "no final stage" not in said["untested"]
    assert "next.finals" not in steps and "why the final runs failed" in steps["next.resume"]


@pytest.mark.parametrize(
    ("costs", "seeds", "units"),
    [
        ([Cost(4, None), Cost(2, 900)], "Tell the finalists apart: train each from 4 more seeds.", None),
        (
            [Cost(1, None), Cost(None, 900)],
            "Tell 1 of 2 rivals from the best: train each from 1 more seed.",
            "No number of seeds tells 0002 from the best: not with this validation set; about 900 more validation "
            "units would tell.",
        ),
        (
            [Cost(None, None), Cost(None, 900)],
            None,
            "No number of seeds tells 0001-supervised and 0002 from the best: only more of both, seeds and units, "
            "would tell.",
        ),
        ([None, None], None, None),
    ],
)
def test_seeds_are_advised_for_the_rivals_that_they_tell_apart(tmp_path, costs, seeds, units):
    scores = {"0001": [0.80, 0.82, 0.84], "0001-supervised": [0.79, 0.80, 0.85], "0002": [0.78, 0.83, 0.79]}
    top, *others = final_stage.table(scores)
    rows = [replace(row, best=replace(row.best, cost=cost)) for row, cost in zip(others, costs, strict=True)]
    found = on_page(begun(tmp_path / "s"))
    vars(found)["table"] = [top, *rows]
    said = {step.id: step.text for step in next_steps._to_tell_finalists_apart(found)}
    assert (said.get("s.next.seeds"), said.get("s.next.units")) == (seeds, units)


@pytest.mark.parametrize("is_of_before", [False, True])
def test_no_better_than_chance_is_said_when_the_data_are_gone_too(made, is_of_before):
    """A manifest of the version before has no counts: there the data are asked."""
    folder = made()
    content = json.loads(folder.manifest.read_text())
    if is_of_before:
        del content["data"]["counts"]
    else:
        shutil.rmtree(content["data"]["prepared"])
    for result in content["test_opened"][0]["results"].values():
        result["score"] = 0.2
    write_json(folder.manifest, content)
    assert "No better than chance (0.333)" in said_in(answer.section(page(folder)))["chance"]
    assert page(folder).metric == "macro_f1"


def begun_trials(folder):
    """One trial that ended, one that failed and one without an end."""
    trial(folder, "0000", [epoch(at, 0.5) for at in range(1, 5)], "complete")
    trial(folder, "0001", [], "failed", reason="its process died")
    trial(folder, "0002", [epoch(1, 0.4)])


def test_a_study_that_runs_is_said_to_run_and_its_running_trials_are_no_failures(tmp_path):
    folder = begun(tmp_path / "s")
    begun_trials(folder)
    with locked(folder):
        found = on_page(folder)
        assert "the study runs" in said_in(answer.section(found))["open"]
        steps = {step.id: step.command for step in next_steps.section(found).blocks}
        assert list(steps) == ["s.next.wait"] and "--watch" in steps["s.next.wait"]
        assert [row["run"] for row in tables_in(failures.section(found))["failures"]] == ["0001"]
        assert {row.trial: row.reason for row in found.rows}["0002"] == "runs, or waits for its turn"
        at_its_end = read_study(folder.path, "s", is_over=True)
    for found in (at_its_end, on_page(folder)):
        assert "runs" not in said_in(answer.section(found))["open"]
        assert list(said_in(next_steps.section(found))) == ["next.resume"]
        assert "interrupted" in {row.trial: row.reason for row in found.rows}["0002"]


def test_where_all_that_has_no_end_runs_nothing_has_failed(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0002", [epoch(1, 0.4)])
    with locked(folder):
        assert failures.section(on_page(folder)) is None
        assert "the study runs" in said_in(answer.section(on_page(folder)))["open"]
    assert failures.section(on_page(folder)) is not None


@pytest.mark.parametrize("is_over", [True, False])
def test_validation_has_not_chosen_before_the_final_stage_is_over(made, is_over):
    found = page(made(ends=None if is_over else Stage.SEARCH))
    titles = " ".join(block.title for block in curves.section(found).blocks if isinstance(block, Chart))
    assert ("which validation chose" in titles) == is_over
    assert ("which leads so far" in titles) == (not is_over)


def test_the_head_counts_the_final_runs_that_there_are(made):
    folder = made(ends=Stage.SEARCH)
    other = folder.path.with_name("other")
    shutil.copytree(folder.path, other)
    content = json.loads((other / "manifest.json").read_text())
    content["sessions"][0]["started"] = "2020-02-03T00:00:00+0000"
    (other / "manifest.json").write_text(json.dumps(content))
    both = dict(report.facts([page(folder), page(RunFolder(other))]))
    assert both["final runs"] == "0; 0"
    assert both["begun"].endswith("; 2020-02-03")


def test_the_winner_stands_with_the_interval_of_its_scorecard_and_the_rule_of_it(made):
    folder = made()
    found = page(folder)
    said = {each.id: each for each in answer.section(found).blocks}
    took, card = said["moods.winner"], found.winner.card
    assert list(took.interval) == list(card["interval"]) and "resampled" in took.test
    assert took.interval_in_words == f"{card['interval'][0]:.4f} to {card['interval'][1]:.4f}"
    kept = said["moods.kept"].text
    assert kept.startswith("Kept in best/: seed ") and f"{card['score']:.4f} on test" in kept
    reopened(
        folder,
        lambda openings: openings[0]["results"][openings[0]["chosen"]].update(interval=None, interval_why="too few"),
    )
    said = {each.id: each for each in answer.section(page(folder)).blocks}
    assert (said["moods.winner"].interval, said["moods.winner"].test) == (None, "")
    assert "(no interval: too few)" in said["moods.kept"].text
