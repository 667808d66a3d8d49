"""What is drawn: the proportions that were asked for, and pairs that belong together, the same in every repetition."""

from collections import Counter

import numpy as np
import pytest

from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.row_keys import Datasets, RowKeys, pair_clips
from lssat.data.prepared.rows import ResidentRows
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig

EPOCHS = 40


def rows_of(label, position=None):
    """Rows that know where in their split they are."""
    position = np.arange(len(label)) if position is None else position
    return ResidentRows([{"image": np.zeros((len(label), 1, 1, 3), np.uint8), "label": label, "row": position}])


def epochs(rows, batch=20, number=EPOCHS):
    """The positions of the rows of each batch of some epochs."""
    steps = -(-rows.num_rows // batch)
    return [drawn.row for seed in range(number) for drawn in rows.batches(batch, steps, seed)]


def drawn(label, keys=None, **data):
    """Rows as `DataConfig(**data)` has them drawn."""
    return rows_of(label).drawn(Drawing.of(DataConfig(**data), label.ndim == 1, keys), 0, 1)


LABEL = np.repeat([0, 1, 2, 0, 1], [900, 90, 10, 40, 160])
DATASET = np.repeat([0, 1], [1000, 200])
JOINED = RowKeys(Datasets(DATASET, np.array([1.0, 3.0])))


def shares(found, values):
    return np.bincount(values[np.concatenate(found)]) / sum(map(len, found))


def test_balanced_classes_come_equally_often():
    found = epochs(drawn(LABEL, sampling="balanced"))
    assert shares(found, LABEL) == pytest.approx([1 / 3] * 3, abs=0.01)
    assert sum(map(len, found)) == EPOCHS * len(LABEL)


def test_balanced_rows_are_drawn_as_they_were_before_there_were_pairs_and_weights():
    """By the formula of that version, to the bit: studies that it began go on alike."""
    label = np.random.default_rng(0).integers(0, 4, 997)
    chances = 1 / np.bincount(label)[label]
    before = np.random.default_rng(5).choice(np.arange(997), 997, p=chances / chances.sum())
    (batch,) = drawn(label, sampling="balanced").batches(997, 1, 5)
    assert (batch.row == before).all()


def test_weights_are_the_proportions_of_data_sets_and_within_one_every_row_is_alike():
    found = epochs(drawn(LABEL, JOINED, weights={"a": 1.0, "b": 3.0}))
    assert shares(found, DATASET) == pytest.approx([0.25, 0.75], abs=0.01)
    of_second = np.concatenate(found)[DATASET[np.concatenate(found)] == 1]
    assert np.mean(LABEL[of_second] == 0) == pytest.approx(40 / 200, abs=0.01)


def test_balanced_and_weighted_rows_keep_the_proportions_and_even_out_the_classes_of_each_data_set():
    """The second has no third class: its rows are shared out among those that it has."""
    found = epochs(drawn(LABEL, JOINED, sampling="balanced", weights={"a": 1.0, "b": 3.0}))
    cells = shares(found, 3 * DATASET + LABEL)
    assert cells == pytest.approx([0.25 / 3] * 3 + [0.375, 0.375], abs=0.01)


def test_rows_of_several_labels_are_weighted_and_never_balanced():
    several = np.stack([LABEL == 0, LABEL == 1], 1).astype(np.int64)
    found = epochs(drawn(several, JOINED, sampling="balanced", weights={"a": 1.0, "b": 3.0}))
    assert shares(found, DATASET) == pytest.approx([0.25, 0.75], abs=0.01)
    assert Drawing.of(DataConfig(sampling="balanced"), False, None) is None


def test_a_data_set_of_which_nothing_is_left_does_not_count():
    position = np.flatnonzero(DATASET == 1)
    rows = rows_of(LABEL[position], position).drawn(Drawing.of(DataConfig(weights={"a": 1.0}), True, JOINED), 0, 1)
    assert set(np.concatenate(epochs(rows, number=20))) == set(position)


# Six films of three persons: two fakes of the first, which has two films; one of the second; the third has but a fake,
# and the fourth but a real one. Frames of a film come in the order of time.
FILMS = {
    "real/id0_0000": ("id0", 0, 6),
    "real/id0_0001": ("id0", 0, 6),
    "fake/id0_id9_0000": ("id0", 1, 6),
    "fake/id0_id8_0001": ("id0", 1, 3),
    "real/id1_0000": ("id1", 0, 4),
    "fake/id1_id9_0000": ("id1", 1, 8),
    "fake/id2_id9_0000": ("id2", 1, 5),
    "real/id3_0000": ("id3", 0, 5),
}
VIDEO = np.repeat([*FILMS], [size for _, _, size in FILMS.values()])
PERSON = np.array([FILMS[name][0] for name in VIDEO])
REAL_OR_FAKE = np.array([FILMS[name][1] for name in VIDEO])
FRAME = np.concatenate([np.arange(size) for _, _, size in FILMS.values()])
PARTNER = {
    "fake/id0_id9_0000": "real/id0_0000",
    "fake/id0_id8_0001": "real/id0_0001",
    "fake/id1_id9_0000": "real/id1_0000",
}


def paired(position=None, video=VIDEO, rank=0, world_size=1, keys=None, **more):
    clips = pair_clips({"identity": PERSON, "video": video, **more}, REAL_OR_FAKE)
    keys = RowKeys(None if keys is None else keys, clips)
    rows = rows_of(REAL_OR_FAKE, None) if position is None else rows_of(REAL_OR_FAKE[position], position)
    return rows.drawn(Drawing.of(DataConfig(sampling="paired"), True, keys), rank, world_size)


@pytest.mark.parametrize("batch", [2, 8, 14, 64])
def test_every_batch_consists_of_pairs_of_one_source(batch):
    """Also the last one, which is shorter. Frames of a pair are of the same time."""
    found = epochs(paired(), batch, 60)
    for rows in found:
        real, fake = (rows[REAL_OR_FAKE[rows] == kind] for kind in (0, 1))
        assert len(real) == len(fake) > 0
        expected = Counter(PARTNER[name] for name in VIDEO[fake])
        assert Counter(VIDEO[real]) == expected
    rows = np.concatenate([rows for rows in found if len(rows) == 2] or [np.zeros(0, int)])
    for one, other in rows.reshape(-1, 2):
        real, fake = sorted((one, other), key=lambda row: REAL_OR_FAKE[row])
        sizes = (FILMS[VIDEO[row]][2] for row in (real, fake))
        times = [(FRAME[row] + 0.5) / size for row, size in zip((real, fake), sizes, strict=True)]
        assert abs(times[0] - times[1]) <= 0.5 / FILMS[VIDEO[real]][2] + 1e-9
    drawn = np.concatenate(found)
    assert set(VIDEO[drawn]) == {*PARTNER, *PARTNER.values()}, "who has no partner is never drawn"
    assert len(drawn) == 60 * (len(VIDEO) // 2 * 2)
    of_fakes = Counter(drawn[REAL_OR_FAKE[drawn] == 1].tolist())
    assert len(of_fakes) == 17 and max(of_fakes.values()) < 2 * min(of_fakes.values()), "all fakes alike"


def test_frames_of_films_of_equal_length_are_those_of_the_same_number():
    for rows in epochs(paired(), 2, 20):
        if "fake/id0_id9_0000" in VIDEO[rows]:
            assert len(set(FRAME[rows])) == 1


def test_pairs_lie_in_no_order_within_a_batch():
    """Or mixup would mix each fake with its own original, and micro-batches could be of one class."""
    found = [rows for rows in epochs(paired(), 20, 60) if len(rows) == 20]
    firsts = np.mean([REAL_OR_FAKE[rows] for rows in found], axis=0)
    assert (np.abs(firsts - 0.5) < 0.25).all()
    neighbours = np.concatenate([PERSON[rows].reshape(-1, 2) for rows in found])
    assert 0.2 < np.mean(neighbours[:, 0] == neighbours[:, 1]) < 0.9


def test_persons_without_films_are_paired_with_any_of_their_own():
    nothing = np.full(len(VIDEO), "")
    found = np.concatenate(epochs(paired(video=nothing), 2, 100)).reshape(-1, 2)
    assert (PERSON[found[:, 0]] == PERSON[found[:, 1]]).all()
    of_first = found[(PERSON[found] == "id0").all(1)]
    real = of_first[REAL_OR_FAKE[of_first] == 0]
    assert set(real) == set(np.flatnonzero((PERSON == "id0") & (REAL_OR_FAKE == 0)))


def test_partners_are_of_the_same_data_set():
    """Of the second, the real films of `id0` are all that there is, so that its fakes are left alone."""
    dataset = np.where(np.char.startswith(VIDEO, "real/id0"), "b", "a")
    found = np.concatenate(epochs(paired(dataset=dataset), 8, 20))
    assert set(PERSON[found]) == {"id1"}


def test_pairs_are_drawn_in_the_proportions_of_their_data_sets():
    number = (PERSON == "id1").astype(int)
    datasets = Datasets(number, np.array([1.0, 3.0]))
    found = np.concatenate(epochs(paired(keys=datasets, dataset=number.astype(str)), 8, 100))
    assert np.mean(PERSON[found] == "id1") == pytest.approx(0.75, abs=0.02)


def test_pairs_are_made_of_the_rows_that_are_left():
    """As after `data.train_fraction`, in whatever order they come."""
    position = np.random.default_rng(0).permutation(np.flatnonzero((FRAME % 2 == 0) & (VIDEO != "real/id1_0000")))
    for rows in epochs(paired(position), 8, 20):
        assert set(rows) <= set(position) and "id1" not in PERSON[rows]
        fakes, real = (VIDEO[rows[REAL_OR_FAKE[rows] == kind]] for kind in (1, 0))
        assert Counter(PARTNER[name] for name in fakes) == Counter(real)
    with pytest.raises(ConfigError, match=r"paired finds no pair of one source.*train_fraction"):
        paired(np.flatnonzero(REAL_OR_FAKE == 1))


def test_the_seed_alone_decides_and_workers_share_what_one_would_draw():
    one = epochs(paired(), 8, 3)
    assert all((a == b).all() for a, b in zip(one, epochs(paired(), 8, 3), strict=True))
    assert any((a != b).any() for a, b in zip(one[:5], one[6:11], strict=True))
    parts = [epochs(paired(rank=rank, world_size=2), 4, 3) for rank in range(2)]
    assert all((np.concatenate(both) == whole).all() for *both, whole in zip(*parts, one, strict=True))
