"""Ray Data's shares: every row once for any number of workers, resident or streamed, decoded once for all of them."""

import io
from collections import Counter

import numpy as np
import pytest
import ray
from PIL import Image

from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.table import DatasetInfo, Row
from lssat.data.prepared.writing import write_dataset
from lssat.errors import ConfigError
from lssat.on_ray import ingest
from lssat.settings.data import DataConfig

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
NUM_ROWS = 2500  # two shards, ten blocks
SIZE = 16
DATA = DataConfig(image_size=SIZE)
WORKER_COUNTS = (1, 2, 3)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Every image holds its own number in its pixels; the label is its parity. Cameras come one after the other."""
    folder = tmp_path_factory.mktemp("prepared") / "numbers"
    rows = [
        Row(_png(number), number % 2, "", split, columns=("abc"[number % 700 // 300],))
        for split, total in (("train", NUM_ROWS), ("val", 7), ("test", 6))
        for number in range(total)
    ]
    info = DatasetInfo("numbers", "parity", "binary", ("even", "odd"), synthetic=True, columns=("camera",))
    write_dataset(folder, rows, info)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _ray():
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    yield
    ray.shutdown()


def _png(number):
    out = io.BytesIO()
    Image.fromarray(np.full((SIZE, SIZE, 3), (number // 256, number % 256, 7), np.uint8)).save(out, "PNG")
    return out.getvalue()


def numbers(split, rank, seeds=(3,)):
    """The images of a share in the order of the last of these seeds, each of which is an epoch."""
    rows = ingest.rows_of(split, rank)
    for seed in seeds[:-1]:
        list(rows.batches(64, -(-rows.num_rows // 64), seed=seed))
    found = []
    for batch in rows.batches(64, -(-rows.num_rows // 64), seed=seeds[-1]):
        own = (batch.image[:, 0, 0, 0].astype(int) * 256 + batch.image[:, 0, 0, 1]).tolist()
        assert (batch.image[..., 2] == 7).all()
        assert batch.row.tolist() == own
        assert (batch.label == np.asarray(own) % 2).all()
        found += own
    assert len(found) == split.share_rows(rank)
    return found


def open_split(prepared, name, num_workers):
    return ingest.open_splits(prepared, (name,), DATA, [num_workers])[num_workers][name]


@pytest.mark.parametrize("streamed", [False, True])
def test_every_row_once_for_each_number_of_workers(prepared, streamed, monkeypatch):
    if streamed:
        monkeypatch.setattr(ingest, "MEMORY_SHARE", 0)
    shares = ingest.open_splits(prepared, ("train",), DATA, WORKER_COUNTS)
    assert list(shares) == list(WORKER_COUNTS)
    for num_workers, splits in shares.items():
        split = splits["train"]
        assert (split.num_workers, split.resident is None) == (num_workers, streamed)
        found = [number for rank in range(num_workers) for number in numbers(split, rank)]
        assert sorted(found) == list(range(NUM_ROWS))
        assert found != sorted(found), "rows must come shuffled"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("values", [["a"], ["b", "c"]])
def test_training_has_every_row_once_but_those_that_are_held_out(prepared, streamed, values, monkeypatch):
    """Resident shares are as equal as ever, though the held-out rows lie together; validation has all of its rows."""
    if streamed:
        monkeypatch.setattr(ingest, "MEMORY_SHARE", 0)
    data = DataConfig(image_size=SIZE, hold_out="camera", held_out=values)
    expected = [number for number in range(NUM_ROWS) if "abc"[number % 700 // 300] not in values]
    for num_workers, splits in ingest.open_splits(prepared, ("train",), data, WORKER_COUNTS).items():
        shares = [numbers(splits["train"], rank) for rank in range(num_workers)]
        assert sorted(number for share in shares for number in share) == expected
        if not streamed:
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
    val = ingest.open_splits(prepared, ("val",), data, [1])[1]["val"]
    assert sorted(numbers(val, 0)) == list(range(7))


def test_what_is_held_out_one_after_the_other_is_decoded_once(prepared):
    datas = [DataConfig(image_size=SIZE, hold_out="camera", held_out=[value]) for value in "abc"]
    folds = ingest.open_folds(prepared, ("train",), datas, [1])
    blocks = []
    for value, fold in zip("abc", folds, strict=True):
        split = fold[1]["train"]
        expected = [number for number in range(NUM_ROWS) if "abc"[number % 700 // 300] != value]
        assert sorted(numbers(split, 0)) == expected
        blocks.append([ref for bundle in split.resident[0].iter_internal_ref_bundles() for ref in bundle.block_refs])
    assert blocks[0] == blocks[1] == blocks[2]


def test_a_row_is_decoded_once_whatever_the_numbers_of_workers(prepared, tmp_path, monkeypatch):
    log, decode = tmp_path / "decoded", ingest.decode

    def logging(batch, image_size):
        with log.open("a") as file:  # from several processes: a line is one write
            file.write("".join(f"{row}\n" for row in batch["row"]))
        return decode(batch, image_size)

    monkeypatch.setattr(ingest, "decode", logging)
    shares = ingest.open_splits(prepared, ("train",), DATA, WORKER_COUNTS)
    for num_workers, splits in shares.items():
        assert sum(len(numbers(splits["train"], rank)) for rank in range(num_workers)) == NUM_ROWS
    assert Counter(map(int, log.read_text().split())) == Counter(range(NUM_ROWS))


def test_shares_are_the_same_blocks_but_for_those_that_a_cut_divides(prepared):
    shares = ingest.open_splits(prepared, ("train",), DATA, WORKER_COUNTS)
    blocks = {
        num_workers: {
            ref
            for share in splits["train"].resident
            for bundle in share.iter_internal_ref_bundles()
            for ref in bundle.block_refs
        }
        for num_workers, splits in shares.items()
    }
    whole = blocks[1]
    assert len(whole) == 10
    for num_workers in WORKER_COUNTS:
        assert len(whole - blocks[num_workers]) <= num_workers - 1


def test_rows_that_are_drawn_come_from_the_whole_split_on_each_worker(prepared):
    """So that two workers see in each global batch what one would."""
    drawing = Drawing.of(DataConfig(sampling="balanced"), True, None)

    def batches(num_workers, rank):
        split = open_split(prepared, "train", num_workers).undivided()
        rows = ingest.rows_of(split, rank)
        return [b.row.tolist() for b in rows.drawn(drawing, rank, num_workers).batches(64 // num_workers, 40, 3)]

    one, halves = batches(1, 0), [batches(2, rank) for rank in range(2)]
    assert [first + second for first, second in zip(*halves, strict=True)] == one


def test_whether_the_data_fit_is_asked_once(prepared, monkeypatch):
    asked = []
    monkeypatch.setattr(ingest, "_fits_in_memory", lambda size: asked.append(size) or True)
    ingest.open_splits(prepared, ("train", "val"), DATA, WORKER_COUNTS)
    assert asked == [(NUM_ROWS + 7) * SIZE * SIZE * 3]


def test_a_resumed_stream_meets_the_order_of_an_uninterrupted_one(prepared, monkeypatch):
    monkeypatch.setattr(ingest, "MEMORY_SHARE", 0)
    split = open_split(prepared, "train", 2)
    third = numbers(split, 1, seeds=(1, 2, 3))
    again = open_split(prepared, "train", 2)
    assert numbers(again, 1, seeds=(3,)) == third != numbers(again, 1, seeds=(2,))
    assert numbers(again, 1, seeds=(None,)) == sorted(third)


def test_uneven_shares_of_resident_rows(prepared):
    split = open_split(prepared, "val", 3)
    shares = [numbers(split, rank) for rank in range(3)]
    assert sorted(number for share in shares for number in share) == list(range(7))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_workers_than_rows_are_refused(prepared):
    with pytest.raises(ConfigError, match=r"`resources\.num_workers` must be at most 7"):
        ingest.open_splits(prepared, ("val",), DATA, [1, 8, 2])


def test_read_resident_reads_all(prepared):
    rows = read_resident(sorted(prepared.glob("test-*.parquet")), SIZE)
    labels = np.concatenate([batch.label for batch in rows.batches(4, 2, None)])
    assert labels.tolist() == [0, 1, 0, 1, 0, 1]
