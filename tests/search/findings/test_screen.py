"""What a screen shows, at the widths that terminals have: what matters is whole, and what has no room is named."""

import csv
import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from lssat.text.console import Column, SafeConsole, Sheet
from search.findings import leaderboard
from search.findings.screen import leaderboard_sheet, show_final_table, show_leaderboard
from search.plan import screen as plan_screen
from search.plan.backbone_estimates import BackboneEstimate
from search.record.folder import RunFolder, Stage
from tests.search import final_stage
from tests.search.records import epoch, record

WIDTHS = (80, 120, 200)
LONG = "vit_base_patch16_rope_reg1_gap_256"
BACKBONES = (LONG, "test_resnet", "mobilenetv3_small_050")
SEARCHED = ("backbone.name", "optim.lr", "optim.weight_decay", "augment.erase_before_texture", "decoder.dim")


def printed(show, width):
    """The lines of a screen of that width, and what each row of its table has by the names of its columns."""
    console = SafeConsole(file=io.StringIO(), width=width)
    show(console)
    lines = console.file.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    return lines, rows_of(lines)


def rows_of(lines):
    heads = [re.split("┃", line)[1:-1] for line in lines if line.startswith("┃")]
    names = ["".join(part.strip() for part in parts) for parts in zip(*heads, strict=True)]
    bodies = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    return [dict(zip(names, cells, strict=True)) for cells in bodies]


@pytest.fixture
def folder(tmp_path):
    for number in range(12):
        sampled = {"backbone.name": BACKBONES[number % 3], "optim.lr": 1e-4 * (number + 1), "optim.epochs": 4}
        sampled |= {"aux_weight": 0.5, "optim.weight_decay": 0.05, "decoder.dim": 64}
        sampled |= {"augment.erase_before_texture": number == 3}
        results = [epoch(at, 0.9 - number / 100, parameters=86_000_000) for at in range(1, 5)]
        record(tmp_path / "trials" / f"{number:04d}", sampled, results, "complete")
    return RunFolder(tmp_path)


@pytest.fixture
def rows(folder):
    return leaderboard.rank(folder.records(Stage.SEARCH), ["score"], SEARCHED)


def finals(name, **of_units):
    """A final table of which rows are open and others are told."""
    scores = {"0001": [0.80, 0.83, 0.85], "0001-supervised": [0.81, 0.81, 0.83], "0003": [0.50, 0.52, 0.55]}
    table = final_stage.table(scores, **of_units)
    return [replace(row, backbone=name, test=0.6, parameters=1) for row in table]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_leaderboard_has_rank_backbone_and_score_of_every_row_in_full(rows, width):
    lines, read = printed(lambda console: show_leaderboard(console, rows), width)
    assert [(line["rank"], line["backbone"], line["score"]) for line in read] == [
        (str(row.rank), row.backbone, f"{row.score:.4f}") for row in rows
    ]
    assert "…" not in "".join(lines)
    assert ("leaderboard.csv" in "".join(lines)) == (width < 200)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("of_units", [{}, {"units": 50}, {"lacking": "no predictions are kept of these runs"}])
@pytest.mark.parametrize("name", BACKBONES)
def test_a_final_table_has_arm_backbone_and_score_of_every_row_in_full(name, of_units, width):
    table = finals(name, **of_units)
    lines, read = printed(lambda console: show_final_table(console, table), width)
    assert [(line["arm"], line["backbone"], line["score"]) for line in read] == [
        (row.arm, row.backbone, f"{row.mean:.4f}") for row in table
    ]
    assert "…" not in "".join(lines)
    if name != LONG or width > 80:
        assert [line["verdict"] for line in read] == [row.best.claim.word for row in table]


@pytest.mark.parametrize("width", [120, 200])
def test_a_final_table_has_room_for_the_differences_and_what_the_auxiliary_task_did(width):
    table = finals("test_resnet")
    _, read = printed(lambda console: show_final_table(console, table), width)
    assert [line["to the best"] for line in read] == [row.best.plus_minus for row in table]
    assert [line["auxiliary"] for line in read] == ["cannot be told", "", ""]
    assert [line["over supervised"] for line in read] == [table[0].supervised.plus_minus, "", ""]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_has_the_backbone_of_every_row_in_full(width):
    backbones = [
        BackboneEstimate(name, "base", 86_000_000, 1, 4, 0.25, 2, 4, 9 << 30, 70 << 30, 90.0) for name in BACKBONES
    ]
    lines, read = printed(lambda console: plan_screen.backbones_sheet(backbones).show(console), width)
    assert [line["backbone"] for line in read] == list(BACKBONES)
    assert {line["params"] for line in read} == {"86.00M"}
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", range(8, 60))
def test_on_a_screen_that_is_too_narrow_for_anything_a_number_is_shown_before_a_word(width):
    columns = [Column("score", 0, ["0.1234"]), Column("name", 0, ["word" * 9], "left"), Column("more", 1, ["x"])]
    lines, _ = printed(lambda console: Sheet("", columns, [""], "more.csv").show(console), width)
    text = "".join(line for line in lines if line.startswith("│"))
    assert "…" not in text
    if width >= 14:
        assert "0.1234" in text
        assert re.sub(r"[│\s]|0\.1234|x", "", text) == "word" * 9


def test_a_narrow_column_takes_the_room_that_a_wide_one_of_more_weight_cannot_have():
    columns = [Column("a", 0, ["1"]), Column("wide", 1, ["w" * 50]), Column("b", 2, ["2"]), Column("c", 3, ["3" * 20])]
    lines, read = printed(lambda console: Sheet("", columns, [""], "all.csv").show(console), 20)
    assert read == [{"a": "1", "b": "2"}]
    assert "no room for wide, c: see" in " ".join(lines).replace("  ", " ")


def test_wide_characters_count_as_wide_as_they_are():
    columns = [Column("a", 0, ["1"]), Column("wide", 1, ["顔" * 6])]
    assert printed(lambda console: Sheet("", columns, [""], "").show(console), 20)[1] == [{"a": "1", "wide": "顔" * 6}]
    assert printed(lambda console: Sheet("", columns, [""], "").show(console), 19)[1] == [{"a": "1"}]


def test_settings_that_differ_are_shown_and_those_that_do_not_are_said_once(rows):
    lines, read = printed(lambda console: show_leaderboard(console, rows), 400)
    assert [float(line["optim.lr"]) for line in read] == pytest.approx([1e-4 * (int(row.trial) + 1) for row in rows])
    assert [line["augment.erase_before_texture"] for line in read].count("True") == 1
    assert not {"optim.weight_decay", "decoder.dim", "aux_weight", "backbone.name"} & read[0].keys()
    alike = next(line for line in lines if "alike in all rows" in line)
    assert "optim.weight_decay 0.05" in alike and "decoder.dim 64" in alike and "aux_weight 0.50" in alike
    assert leaderboard_sheet(rows).width(SafeConsole(file=io.StringIO(), width=80)) == max(map(cell_len, lines[1:-1]))


def test_every_searched_key_is_a_column_of_the_files(folder, rows):
    leaderboard.write(rows, folder)
    with folder.leaderboard.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(line["optim.lr"]) for line in read] == [1e-4 * (int(row.trial) + 1) for row in rows]
    assert set(SEARCHED) <= read[0].keys()
    assert all(f"| {key} |" in folder.leaderboard_page.read_text() for key in SEARCHED)


def test_a_key_that_a_trial_did_not_draw_is_empty(tmp_path):
    for number, sampled in enumerate([{"backbone.patch_size": 8}, {}]):
        record(tmp_path / "trials" / f"{number:04d}", {"backbone.name": "test_vit", **sampled}, [epoch(1, 0.5)])
    folder = RunFolder(tmp_path)
    leaderboard.write(leaderboard.rank(folder.records(Stage.SEARCH), ["score"], ["backbone.patch_size"]), folder)
    with folder.leaderboard.open(newline="") as file:
        assert {line["backbone.patch_size"] for line in csv.DictReader(file)} == {"8", ""}
