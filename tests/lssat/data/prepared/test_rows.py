"""Every row counts exactly once, however the shares divide."""

from itertools import chain

import numpy as np
import pytest

from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.rows import ResidentRows, StreamedRows, mixed
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig


def blocks(num_rows, size=7):
    labels = np.arange(num_rows)
    images = np.zeros((num_rows, 2, 2, 3), np.uint8) + labels[:, None, None, None].astype(np.uint8)
    return [{"image": images[i : i + size], "label": labels[i : i + size]} for i in range(0, num_rows, size)]


def stream(num_rows):
    def batches(size, seed):
        order = np.arange(num_rows) if seed is None else np.random.default_rng(seed).permutation(num_rows)
        for start in range(0, num_rows, size):
            chosen = order[start : start + size]
            yield {"image": np.zeros((len(chosen), 2, 2, 3), np.uint8), "label": chosen}

    return StreamedRows(batches, num_rows)


@pytest.mark.parametrize("rows", [ResidentRows(blocks(23)), stream(23)], ids=["resident", "streamed"])
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("size", "steps"), [(8, 3), (8, 5), (23, 1), (50, 2), (1, 23)])
def test_each_row_comes_once_and_nothing_else_does(rows, seed, size, steps):
    batches = list(rows.batches(size, steps, seed))
    assert len(batches) == steps and {batch.size for batch in batches} == {size}
    expected = [max(0, min(size, 23 - step * size)) for step in range(steps)]
    for name in ("image", "label", "row"):
        assert [len(getattr(batch, name)) for batch in batches] == expected
        assert len({getattr(batch, name).shape[1:] for batch in batches}) == 1, "of none as of some"
    labels = np.concatenate([batch.label for batch in batches]).tolist()
    assert sorted(labels) == list(range(23))
    assert seed is not None or labels == list(range(23))


def test_order_follows_the_seed():
    rows = ResidentRows(blocks(23))

    def order(seed):
        return np.concatenate([batch.label for batch in rows.batches(8, 3, seed)]).tolist()

    assert order(1) == order(1) != order(2)


def test_images_stay_with_their_labels():
    for batch in ResidentRows(blocks(23)).batches(8, 3, 5):
        assert (batch.image[:, 0, 0, 0] == batch.label).all()


@pytest.mark.parametrize(("size", "window"), [(4, 8), (5, 1), (50, 100), (3, 7)])
def test_mixed_rows_come_once_in_an_order_of_the_generator(size, window):
    def order(seed):
        batches = list(mixed(blocks(23), size, window, np.random.default_rng(seed)))
        assert all(len(batch["label"]) == size for batch in batches[:-1])
        assert all((batch["image"][:, 0, 0, 0] == batch["label"]).all() for batch in batches)
        return np.concatenate([batch["label"] for batch in batches]).tolist()

    assert sorted(order(1)) == list(range(23))
    assert order(1) == order(1) != order(2)


def test_streamed_rows_cannot_be_drawn():
    with pytest.raises(ConfigError, match=r"`data\.sampling` balanced needs data that fit into memory.*class_balanced"):
        stream(10).drawn(Drawing.of(DataConfig(sampling="balanced"), True, None), 0, 1)
    for asked, said in (
        ({"weights": {"a": 1.0}}, "`data.weights` needs data that fit into memory; {}, or leave it out"),
        ({"sampling": "paired"}, "`data.sampling` paired needs data that fit into memory; {}, or leave it out"),
        (
            {"sampling": "balanced", "weights": {"a": 1.0}},
            "`data.sampling` balanced and `data.weights` need data that fit into memory; {}, or leave both out",
        ),
    ):
        with pytest.raises(ConfigError) as error:
            stream(10).drawn(Drawing.of(DataConfig(**asked), True, None), 0, 1)
        assert str(error.value) == said.format("lower `data.image_size`, give less data")


@pytest.mark.parametrize("world_size", [2, 4])
@pytest.mark.parametrize(("num_rows", "size"), [(48, 8), (23, 8), (5, 8)])
def test_workers_take_their_parts_of_the_batches_that_one_draws(num_rows, size, world_size):
    drawing = Drawing.of(DataConfig(sampling="balanced"), True, None)

    def batches(rank, world_size):
        rows = ResidentRows(blocks(num_rows)).drawn(drawing, rank, world_size)
        steps = -(-rows.num_rows // (size // world_size))
        return [batch.label.tolist() for batch in rows.batches(size // world_size, steps, 3)]

    together = zip(*(batches(rank, world_size) for rank in range(world_size)), strict=True)
    assert [list(chain(*parts)) for parts in together] == batches(0, 1)
