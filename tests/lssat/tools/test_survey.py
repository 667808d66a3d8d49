"""The survey of timm's modules: what it says of one, and that its table holds them all."""

from __future__ import annotations

import dataclasses

import pytest
import timm
import torch
from torch import nn

from lssat.config import build
from lssat.model.lssat import build_model
from lssat.tools.encoder_survey import TASK, Row, broken_step, smallest, survey
from lssat.tools.encoders import COLUMNS, OUTPUT, check_modules, table

ROW = Row("resnet", "test_resnet", 372_688, "pyramid", 64, 16, step=True, contract=True)


def test_table_in_docs_holds_every_module() -> None:
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table_lines(OUTPUT.read_text())]
    assert tuple(rows[0]) == COLUMNS
    surveyed = {row[0]: row for row in rows[2:]}
    assert list(surveyed) == timm.list_modules(), "run `python -m lssat.tools.encoders`"
    refused = [module for module, row in surveyed.items() if row[6:8] != ["yes", "yes"]]
    assert len(refused) <= 3
    assert all(surveyed[module][8] for module in refused), "each is refused with a reason"


def test_the_page_is_what_the_command_writes() -> None:
    """All but its rows, which take an hour."""
    page = OUTPUT.read_text()
    count = len(table_lines(page)) - 2
    written = table([ROW] * count)
    assert written.replace(table_lines(written)[-1] + "\n", "") == page.replace(
        "\n".join(table_lines(page)[2:]) + "\n", ""
    )


def table_lines(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("|")]


def test_rows_of_the_table_are_what_the_survey_finds() -> None:
    found = survey("convnext")
    assert table([found]).splitlines()[-1] in table_lines(OUTPUT.read_text())
    assert found.ok


def test_smallest_is_the_smallest() -> None:
    params, name = smallest("convnext")
    assert name == "test_convnext"
    assert params == sum(parameter.numel() for parameter in timm.create_model(name, num_classes=0).parameters())


class TestBrokenStep:
    CONFIG = build({"backbone.name": "test_resnet", "optim.batch_size": 2, "optim.precision": "float32"})

    def test_good_model(self) -> None:
        torch.manual_seed(0)
        assert broken_step(self.CONFIG, build_model(self.CONFIG, TASK.num_outputs)) == []

    def test_gradient_that_is_missing_or_wild_is_named(self) -> None:
        model = build_model(self.CONFIG, TASK.num_outputs)
        model.encoder.mask_token.register_hook(lambda gradient: gradient * float("nan"))
        model.decoder.predict.bias.requires_grad_(False)
        missing, wild = broken_step(self.CONFIG, model)
        assert missing == "step: no gradient in decoder.predict.bias"
        assert wild == "step: gradients are not finite in encoder.mask_token"

    def test_mask_token_that_is_cut_off_is_named(self) -> None:
        model = build_model(self.CONFIG, TASK.num_outputs)
        nn.init.zeros_(model.decoder.embed.weight)
        assert "step: the mask token learns nothing" in broken_step(self.CONFIG, model)


def test_table_counts_and_keeps_columns() -> None:
    refused = dataclasses.replace(ROW, masking="", step=False, reason="no | such\nmap")
    text = table([ROW, refused])
    assert "1 of 2 work; 1 are refused" in " ".join(text.split())
    assert text.splitlines()[-1] == r"| resnet | test_resnet | 372,688 | - | - | - | no | yes | no \| such map |"


def test_unknown_module_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean `resnet"):
        check_modules(["resnt"])
