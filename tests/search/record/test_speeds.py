"""A speed belongs to a network, and every trial of that network has it."""

from dataclasses import replace

from search.findings import leaderboard
from search.record.folder import RunFolder, Stage
from search.record.speeds import add_speed, network_of, read_speeds
from tests.search.records import epoch, record

BASE = {"backbone.name": "test_vit", "data.image_size": 32, "masking.unit": 8}


def test_trials_of_one_network_share_a_speed_and_others_have_none(tmp_path):
    folder = RunFolder(tmp_path)
    tried = [{}, {"optim.lr": 0.01}, {"data.image_size": 64}, {"optim.precision": "float32"}]
    for number, sampled in enumerate(tried):
        result = replace(epoch(1, 0.9 - number / 10, 1), flops=7)
        record(tmp_path / "trials" / f"{number:04d}", {**BASE, **sampled}, [result], "complete")
    record(tmp_path / "trials" / "0004", BASE, [replace(epoch(1, 0.1, 1), flops=28)], "complete")  # finer patches
    assert [row.images_per_s for row in leaderboard.of_folder(folder)] == [None] * 5, "while trials run"
    first, second, *others = [network_of(record) for record in folder.records(Stage.SEARCH)]
    assert first == second and len({first, *others}) == 4
    add_speed(folder, first, 123.44, "2 CPU threads")
    add_speed(folder, others[0], 60.0, "2 CPU threads")
    assert read_speeds(folder) == {first: 123.4, others[0]: 60.0}
    assert [row.images_per_s for row in leaderboard.of_folder(folder)] == [123.4, 123.4, 60.0, None, None]
