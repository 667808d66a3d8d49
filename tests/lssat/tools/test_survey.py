"""The survey of timm's modules: what it says of one, and that its table holds them all."""

from __future__ import annotations

import dataclasses

import pytest
import timm
import torch
from torch import nn

from lssat.config import build
from lssat.tools.encoder_child import survey_in_child
from lssat.tools.encoder_steps import BATCHES, CPU, STEPS, TASK, broken_steps
from lssat.tools.encoder_survey import Row, smallest, survey, tunable
from lssat.tools.encoders import COLUMNS, OUTPUT, check_modules, table
from lssat.train.learner import Learner, new_learner

ROW = Row("resnet", "test_resnet", 372_688, "pyramid", 64, 16, step=True, contract=True, norms=0.005581, blocks=4)


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


@pytest.mark.slow
def test_every_module_has_the_norms_and_blocks_that_the_page_says() -> None:
    """On the meta device, which takes seconds."""
    surveyed = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table_lines(OUTPUT.read_text())[2:]]
    found = {module: (norms, blocks) for module, *_, norms, blocks in surveyed}
    for module, architecture, *_ in surveyed:
        norms, blocks = tunable(architecture)
        assert found[module] == (f"{norms:.2%}" if norms else "none", str(blocks)), module
        assert blocks >= 3, module
    assert [module for module, (norms, _) in found.items() if norms == "none"] == ["nfnet", "vgg"]


def table_lines(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("|")]


def test_rows_of_the_table_are_what_the_survey_finds_in_this_process_and_in_a_child() -> None:
    found = survey("starnet")
    assert found.ok
    written = table([dataclasses.replace(found, onnx="yes")])
    assert written.splitlines()[-1] in table_lines(OUTPUT.read_text())
    assert survey_in_child("starnet") == found


def test_smallest_is_the_smallest() -> None:
    params, name = smallest("starnet")
    assert name == "starnet_s050"
    assert params == sum(parameter.numel() for parameter in timm.create_model(name, num_classes=0).parameters())


class TestBrokenSteps:
    CONFIG = build({"backbone.name": "test_resnet", "optim.precision": "float32"})

    def learner(self) -> Learner:
        torch.manual_seed(0)
        return new_learner(self.CONFIG, TASK, CPU)

    def test_good_model_is_trained_for_all_steps(self) -> None:
        learner = self.learner()
        rows: list[int] = []
        learner.model.head.register_forward_pre_hook(lambda module, given: rows.append(len(given[0])))
        before = {name: parameter.detach().clone() for name, parameter in learner.model.named_parameters()}
        assert broken_steps(self.CONFIG, learner) == []
        assert rows == [size for size in BATCHES for _ in range(STEPS)]
        still = [name for name, parameter in learner.model.named_parameters() if torch.equal(parameter, before[name])]
        assert not still, "every parameter has moved"

    def test_gradient_that_is_missing_or_wild_is_named_with_its_step(self) -> None:
        learner = self.learner()
        learner.model.encoder.mask_token.register_hook(lambda gradient: gradient * float("nan"))
        learner.model.decoder.predict.bias.requires_grad_(False)
        missing, wild = broken_steps(self.CONFIG, learner)
        assert missing == "step 1 of 2 rows: no gradient in decoder.predict.bias"
        assert wild == "step 1 of 2 rows: gradients are not finite in encoder.mask_token"

    def test_mask_token_that_is_cut_off_is_named(self) -> None:
        learner = self.learner()
        nn.init.zeros_(learner.model.decoder.embed.weight)
        assert broken_steps(self.CONFIG, learner) == ["step 1 of 2 rows: the mask token learns nothing"]

    def test_what_goes_wrong_only_at_a_later_step_is_found(self) -> None:
        learner = self.learner()

        def refuse_three(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            if len(given[0]) == 3:
                raise RuntimeError("three are too many")

        learner.model.head.register_forward_pre_hook(refuse_three)
        assert broken_steps(self.CONFIG, learner) == ["step 1 of 3 rows: RuntimeError: three are too many"]


def test_table_counts_and_keeps_columns() -> None:
    refused = dataclasses.replace(ROW, masking="", step=False, reason="no | such\nmap")
    text = table([ROW, refused])
    assert "1 of 2 work; 1 are refused" in " ".join(text.split())
    assert (
        text.splitlines()[-1]
        == r"| resnet | test_resnet | 372,688 | - | - | - | no | yes | no \| such map |  | 0.56% | 4 |"
    )


def test_unknown_module_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean `resnet"):
        check_modules(["resnt"])
