"""In domain and out of domain: whom each rule chooses, by trials and by arms, on the page and on the screen."""

import pytest

from search.findings import domains
from search.page.charts import spec
from search.page.document import Chart, Statement, Table
from search.page.sections.questions import domains as section
from search.record.folder import Stage
from search.strategy.finalists import Arm, FinalRun
from tests.search.page.made import begun, of_kind, on_page, trial
from tests.search.records import epoch

HELD_OUT = {"data__hold_out": "method", "data__held_out": ["warp"]}
SCORES = {
    "0000": [(0.60, 0.99), (0.65, 0.90)],  # a shortcut: best in domain, poor elsewhere
    "0001": [(0.70, 0.80), (0.80, 0.85)],
    "0002": [(0.75, 0.84), (0.70, 0.86)],
}


def results(scores):
    best, found = -1.0, []
    for number, (score, in_domain) in enumerate(scores, 1):
        if score > best:
            best, beside = score, in_domain
        made = epoch(number, best, len(scores), score, best_in_domain=beside)
        made.metrics["val/in_domain"] = in_domain
        found.append(made)
    return found


def study(path, scores=SCORES, **settings):
    folder = begun(path)
    for name, of_trial in scores.items():
        trial(folder, name, results(of_trial), "complete", optim__epochs=2, **HELD_OUT, **settings)
    return folder


def test_each_rule_keeps_its_own_epoch_and_its_own_trial(tmp_path):
    folder = study(tmp_path / "s")
    trial(folder, "0003", results([(0.99, 0.99)]), "stopped", **HELD_OUT)
    found = domains.of_trials(folder.records(Stage.SEARCH))
    assert len(found.judged) == 3, "those with the full budget"
    assert (found.chosen.name, found.chosen.held_out, found.chosen.beside) == ("0001", 0.80, 0.85)
    other = found.chosen_in_domain
    assert (other.name, other.in_domain, other.got, other.held_out) == ("0000", 0.99, 0.60, 0.65)
    line = domains.disagreement(folder, [])
    assert "would have chosen 0000 (test_resnet; 0.9900 in domain), which gets 0.6000" in line
    assert "0001 (test_resnet) with 0.8000" in line


def test_of_arms_means_are_compared_and_all_runs_must_be_over(tmp_path):
    folder = study(tmp_path / "s")
    arms = {"0001": [[(0.7, 0.9)], [(0.9, 0.7)]], "0002": [[(0.5, 0.8)], [(0.7, 0.99)]]}
    runs = [FinalRun(Arm(arm, {}), seed) for arm in arms for seed in range(2)]
    for arm, of_arm in arms.items():
        for seed, scores in enumerate(of_arm):
            status = None if (arm, seed) == ("0002", 1) else "complete"
            trial(folder, f"{arm}-seed{seed}", results(scores), status, Stage.FINAL, **HELD_OUT)
    assert [each.name for each in domains.of_arms(folder, runs).judged] == ["0001"]
    trial(folder, "0002-seed1", results(arms["0002"][1]), "complete", Stage.FINAL, **HELD_OUT)
    found = domains.of_arms(folder, runs)
    assert found.chosen.name == "0001" and found.chosen.held_out == pytest.approx(0.8)
    assert found.chosen_in_domain.name == "0002" and found.chosen_in_domain.got == pytest.approx(0.6)
    assert domains.disagreement(folder, runs).startswith("  the score in domain would have chosen 0002")


def test_the_section_says_whom_each_rule_chooses_with_both_scores(tmp_path):
    found = section.section(on_page(study(tmp_path / "s")))
    said, tables, charts = (of_kind(found, kind) for kind in (Statement, Table, Chart))
    assert "Training saw no method warp" in said["domains.what"].text
    assert said["domains.trials"].is_warning and "would have chosen 0000" in said["domains.trials"].text
    assert said["domains.ranks"].text == "How alike both rules rank trials cannot be told of 3."
    assert [row[0] for row in tables["domains"].rows] == ["0001", "0002", "0000"]
    assert tables["domains"].rows[2][2:] == [0.65, 0.90, 0.99, 0.60]
    drawn = str(spec(charts["domains_chart"].chart))
    assert all(text in drawn for text in (section.BY_HELD_OUT, section.IN_DOMAIN, "0002"))


def test_where_both_rules_agree_nothing_warns_and_ranks_have_an_interval(tmp_path):
    scores = {f"{number:04}": [(0.5 + number / 100, 0.7 + number / 100)] for number in range(10)}
    folder = study(tmp_path / "s", scores)
    said = of_kind(section.section(on_page(folder)), Statement)
    assert said["domains.trials"].text.startswith("Of the trials, both rules choose 0009")
    assert not said["domains.trials"].is_warning
    ranks = said["domains.ranks"]
    assert "correlation of 1.00" in ranks.text and "takes trials for independent draws" in ranks.text
    assert ranks.interval[1] == pytest.approx(1)
    assert domains.disagreement(folder, []) is None


def test_without_a_hold_out_there_is_no_section(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [epoch(1, 0.5)], "complete")
    assert section.section(on_page(folder)) is None
    assert domains.disagreement(folder, []) is None
