"""Several studies on one page: which backbone suits which task, does one suit all, and what stands in the way."""

import pytest

from lssat.errors import ConfigError
from search import across
from search.findings.tasks import names_of, tasks_of
from search.page.charts import spec
from search.page.report import report_of
from search.page.sections.questions import tasks
from tests.search.page.questions.planted import (
    BACKBONES,
    begun,
    charts,
    grid,
    on_page,
    statements,
    tables,
    with_finals,
    without_predictions,
)

MARGIN = 0.01
ONE = {"test_resnet": 0.9, "test_convnext": 0.6, "test_efficientnet": 0.5}
OTHER = {"test_resnet": 0.6, "test_convnext": 0.9, "test_efficientnet": 0.5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two tasks, each with a backbone of its own that is the best."""
    path = tmp_path_factory.mktemp("tasks")
    return [
        with_finals(path / f"per_task-{name}", truth, name) for name, truth in {"emotion": ONE, "male": OTHER}.items()
    ]


def several(folders):
    """The studies as a page of several sees them."""
    names = names_of([folder.path for folder in folders])
    return [on_page(folder, name, is_one_of_several=True) for name, folder in zip(names, folders, strict=True)]


def together(folders):
    """The sentences, tables and charts of their common part."""
    part = tasks.part(several(folders), MARGIN)
    found = ({}, {}, {})
    for section in part.sections:
        for of_all, of_section in zip(found, (statements(section), tables(section), charts(section)), strict=True):
            of_all.update(of_section)
    return found


def test_words_intervals_and_bounds_are_those_of_the_claims(folders):
    said, table, _ = together(folders)
    found = tasks_of([study.as_task for study in several(folders)], MARGIN)
    for task, backbone, mean, difference, low, high, verdict, least, most in table["tasks"].rows:
        claim, number = found.each[task].of(backbone).claim, found.regrets.tasks.index(task)
        place = found.regrets.arms.index(backbone)
        assert (mean, verdict) == (found.each[task].mean(backbone), claim.word.value)
        assert (least, most) == (found.regrets.low[number, place], found.regrets.high[number, place])
        if difference is not None:
            assert (difference, low, high) == (claim.difference, claim.low, claim.high)
    words = {row[0]: row[-1] for row in table["tasks_together"].rows}
    assert words == {arm: word.value for arm, word in found.regrets.words(MARGIN).items()}
    assert said["which"].text == "emotion: test_resnet is the best; male: test_convnext is the best."
    assert said["all"].text == found.one_for_all and "none suits all" in said["all"].text
    assert said["more"].text == "At this margin nothing is left open."


def test_the_page_and_the_command_say_the_same(folders):
    printed = across.report([folder.path for folder in folders])
    said, table, _ = together(folders)
    assert said["one_for_all"].text in printed and said["ranks"].text in printed
    for row in table["tasks"].rows:
        assert f"{row[2]:.4f} {row[6]}" in printed


def test_what_is_open_says_what_would_tell_and_on_which_task_it_hangs(tmp_path):
    close = {"test_resnet": 0.9, "test_convnext": 0.89, "test_efficientnet": 0.5}
    folders = [with_finals(tmp_path / name, close, name) for name in ("emotion", "male")]
    said, _, _ = together(folders)
    assert said["more"].text.startswith("What would tell more? emotion: ")
    assert "test_efficientnet" not in said["more"].text
    assert "Whether test_resnet suits all hangs on " in said["more"].text


def test_a_heat_map_shows_each_word_and_a_chart_the_bounds(folders):
    _, _, found = together(folders)
    heat, regrets = (str(spec(found[name].chart)) for name in ("tasks_by_backbone", "tasks_regrets"))
    assert all(name in heat and name in regrets for name in (*ONE, "emotion", "male"))
    assert "worse" in heat


def test_the_page_of_several_studies_begins_with_all_of_them(folders):
    report = report_of([folder.path for folder in folders])
    assert [part.title for part in report.parts] == ["All tasks together", "emotion", "male"]
    assert [section.id for section in report.parts[0].sections] == ["answer", "tasks"]
    names = [block.name for block in report.blocks if hasattr(block, "name")]
    assert len(names) == len(set(names)), "no file of one study is that of another"
    ids = [block.id for block in report.blocks if hasattr(block, "text")]
    assert len(ids) == len(set(ids))
    assert [part.title for part in report_of([folders[0].path]).parts] == [""]


def test_without_predictions_means_are_shown_and_nothing_is_told(tmp_path):
    folders = [without_predictions(with_finals(tmp_path / name, ONE, name)) for name in ("emotion", "male")]
    said, table, found = together(folders)
    assert "cannot be told" in said["which"].text and "cannot be told" in said["all"].text
    assert {row[6] for row in table["tasks"].rows} == {"cannot be told"}
    assert all(row[7] is None and row[8] is None for row in table["tasks"].rows)
    assert "tasks_regrets" not in found and "tasks_by_backbone" in found


def test_studies_without_a_final_stage_are_described(tmp_path):
    folders = [grid(tmp_path / name, BACKBONES, lambda sampled: 0.8, name) for name in ("emotion", "male")]
    said, table, found = together(folders)
    assert "no final stage" in said["nothing"].text and said["nothing"].is_warning
    assert len(table["tasks"].rows) == 3 and not found


def test_what_stands_in_the_way_is_one_sentence(tmp_path, folders):
    unfinished, _ = begun(tmp_path / "per_task-open", BACKBONES, "open")
    said, _, _ = together([folders[0], unfinished])
    assert "fewer than two studies have a complete trial" in said["nothing"].text
    assert "open is left out: " in said["note.0"].text
    same = with_finals(tmp_path / "per_task-again", ONE, "emotion")
    said, _, _ = together([folders[0], same])
    assert "all studies are of one task and the same data" in said["nothing"].text
    text = BACKBONES.replace("test_resnet, test_convnext, test_efficientnet", "test_vit, test_nfnet")
    others = grid(tmp_path / "per_task-other", text, lambda sampled: 0.8, "other")
    said, _, _ = together([folders[0], others])
    assert "can be told" in said["nothing"].text or "fewer than two backbones" in said["nothing"].text


def test_an_unfinished_study_does_not_keep_the_others_from_being_compared(tmp_path, folders):
    unfinished, _ = begun(tmp_path / "per_task-open", BACKBONES, "open")
    said, _, _ = together([*folders, unfinished])
    assert said["which"].text.startswith("emotion: test_resnet is the best")
    assert "open is left out" in said["note.0"].text


def test_a_damaged_record_is_left_out_and_its_study_is_still_compared(tmp_path, folders):
    damaged = with_finals(tmp_path / "per_task-hurt", ONE, "hurt")
    (damaged.path / "trials" / "0000" / "config.json").write_text("{")
    said, _, _ = together([*folders, damaged])
    assert said["note.0"].text.startswith("Note: hurt tuned its backbones by unequal numbers of trials")


def test_studies_are_named_by_what_tells_them_apart(tmp_path):
    assert names_of([tmp_path / "per_task-emotion", tmp_path / "per_task-male"]) == ["emotion", "male"]
    assert names_of([tmp_path / "per_task-emotion"]) == ["per_task-emotion"]
    with pytest.raises(ConfigError, match="name of its own"):
        names_of([tmp_path / "a", tmp_path / "b" / "a"])
