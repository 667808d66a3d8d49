"""Two curves are equal to the bit, or it is said where they part."""

import json
from dataclasses import replace

import pytest

from search.again.curves import micro_batches, parting, paused_before, verdict
from search.record.trials import METRICS
from tests.search.records import epoch, record


def curve(*scores, epochs=None):
    results, best = [], 0.0
    for number, score in enumerate(scores, 1):
        best = max(best, score)
        results.append(epoch(number, best, epochs or len(scores), score))
    return results


THEN = curve(0.5, 0.625, 0.6)


def with_loss(result, value):
    return replace(result, metrics={**result.metrics, "train/task_loss": value})


def test_equal_curves_do_not_part_whatever_their_speed():
    faster = [replace(result, metrics={**result.metrics, "train/images_per_s": 7.0}) for result in THEN]
    assert parting(THEN, faster) is None


def test_the_last_bit_of_one_number_is_a_parting():
    then = [with_loss(result, 0.1 + 0.2) for result in THEN]
    now = [then[0], with_loss(then[1], 0.3), then[2]]
    found = parting(then, now)
    assert found.epoch == 2 and found.score_gap == 0
    assert found.numbers == (("train/task_loss", 0.1 + 0.2, 0.3),)


def test_a_number_that_is_none_in_both_is_equal_and_one_that_a_version_lacks_is_no_difference():
    nothing = float("nan")
    assert parting([with_loss(THEN[0], nothing)], [with_loss(THEN[0], nothing)]) is None
    assert parting([with_loss(THEN[0], nothing)], [with_loss(THEN[0], 0.1)]) is not None
    assert parting([with_loss(THEN[0], 0.1)], THEN[:1]) is None


def test_the_words_of_equal_curves(tmp_path):
    whole = record(tmp_path / "0000", {}, THEN, "complete")
    assert verdict(whole, THEN) == (True, ["equal in all 3 epochs, to the bit"])
    cut = record(tmp_path / "0001", {}, curve(0.5, 0.6, epochs=9), "stopped")
    said = "equal in all 2 epochs, to the bit (the scheduler stopped it there, of 9)"
    assert verdict(cut, cut.epochs) == (True, [said])
    running = record(tmp_path / "0002", {}, curve(0.5, epochs=9))
    assert verdict(running, running.epochs) == (True, ["equal in its one epoch, to the bit (of 9; it is not over)"])


def test_the_words_of_curves_that_part(tmp_path):
    then = record(tmp_path / "0000", {}, THEN, "complete")
    is_equal, (said,) = verdict(then, [THEN[0], *curve(0.5, 0.75, 0.6)[1:]])
    assert not is_equal
    assert said.startswith("parted in epoch 2: val/score was 0.625, is 0.75 (by 0.125)")
    assert "at most 0.125 in any epoch" in said


def test_a_run_that_ends_early_is_not_equal(tmp_path):
    then = record(tmp_path / "0000", {}, THEN, "complete")
    assert verdict(then, THEN[:2]) == (False, ["equal in the first 2 of 3 epochs; then it ended"])
    assert not verdict(then, [])[0]


@pytest.mark.parametrize(("parted", "is_said"), [(2, False), (3, True)])
def test_an_interruption_is_named_where_it_came_before_the_parting(tmp_path, parted, is_said):
    then = record(tmp_path / "0000", {}, THEN, "complete")
    path = then.folder / METRICS
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["time"], line["seconds"] = 1000 + 2.0 * number + (600 if number == 2 else 0), 2.0 * (number + 1)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    then = type(then)(then.folder)
    assert paused_before(then) == [3]
    now = [with_loss(result, 1.0) if result.epoch >= parted else result for result in THEN]
    now = [replace(result, score=0.1) if result.epoch == parted else result for result in now]
    _, lines = verdict(then, now)
    assert any("interrupted, or had paused, before epoch 3" in line for line in lines) == is_said


def test_batches_in_other_pieces_are_named(tmp_path):
    then = record(tmp_path / "0000", {}, [THEN[0], *(replace(each, micro_batches=2) for each in THEN[1:])], "complete")
    assert micro_batches(then.epochs) == "1, from epoch 2 on 2"
    now = curve(0.5, 0.7, 0.6)
    is_equal, lines = verdict(then, now)
    assert not is_equal and any("micro-batches: 1, from epoch 2 on 2" in line for line in lines)
    assert verdict(then, THEN)[0], "pieces alone are no parting"
