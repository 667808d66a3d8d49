"""Ray Data's shares: every row once for any number of workers, resident or streamed, and the pixels as they were."""

import io

import numpy as np
import pytest
import ray
from PIL import Image

from lssat.config import ConfigError
from lssat.data.prepared.table import DatasetInfo, Row, write_dataset
from lssat.on_ray import ingest

pytestmark = pytest.mark.slow
NUM_ROWS = 2500  # two shards, ten blocks
SIZE = 8


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Every image holds its own number in its pixels; the label is its parity."""
    folder = tmp_path_factory.mktemp("prepared") / "numbers"
    rows = [
        Row(_png(number), number % 2, "", split)
        for split, total in (("train", NUM_ROWS), ("val", 7), ("test", 6))
        for number in range(total)
    ]
    write_dataset(folder, rows, DatasetInfo("numbers", "parity", "binary", ("even", "odd"), synthetic=True))
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
    rows = ingest.rows_of(split.share(rank).iterator(), split.resident is not None, split.share_rows(rank))
    for seed in seeds[:-1]:
        list(rows.batches(64, -(-rows.num_rows // 64), seed=seed))
    found = []
    for batch in rows.batches(64, -(-rows.num_rows // 64), seed=seeds[-1]):
        real = batch.weight > 0
        found += (batch.image[real, 0, 0, 0].astype(int) * 256 + batch.image[real, 0, 0, 1]).tolist()
        assert (batch.image[..., 2] == 7).all()
        assert batch.row[real].tolist() == found[-int(real.sum()) :]
        assert (batch.label[real] == np.asarray(found[-int(real.sum()) :]) % 2).all()
    assert len(found) == split.share_rows(rank)
    return found


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_every_row_once(prepared, num_workers, streamed, monkeypatch):
    if streamed:
        monkeypatch.setattr(ingest, "MEMORY_SHARE", 0)
    split = ingest.open_splits(prepared, ("train",), SIZE, num_workers)["train"]
    assert (split.resident is None) == streamed
    found = [number for rank in range(num_workers) for number in numbers(split, rank)]
    assert sorted(found) == list(range(NUM_ROWS))
    assert found != sorted(found), "rows must come shuffled"


def test_a_resumed_stream_meets_the_order_of_an_uninterrupted_one(prepared, monkeypatch):
    monkeypatch.setattr(ingest, "MEMORY_SHARE", 0)
    split = ingest.open_splits(prepared, ("train",), SIZE, 2)["train"]
    third = numbers(split, 1, seeds=(1, 2, 3))
    again = ingest.open_splits(prepared, ("train",), SIZE, 2)["train"]
    assert numbers(again, 1, seeds=(3,)) == third != numbers(again, 1, seeds=(2,))
    assert numbers(again, 1, seeds=(None,)) == sorted(third)


def test_uneven_shares_of_resident_rows(prepared):
    split = ingest.open_splits(prepared, ("val",), SIZE, 3)["val"]
    shares = [numbers(split, rank) for rank in range(3)]
    assert sorted(number for share in shares for number in share) == list(range(7))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_workers_than_rows_are_refused(prepared):
    with pytest.raises(ConfigError, match=r"`resources\.num_workers` must be at most 7"):
        ingest.open_splits(prepared, ("val",), SIZE, 8)


def test_read_resident_reads_all(prepared):
    rows = ingest.read_resident(sorted(prepared.glob("test-*.parquet")), SIZE)
    labels = np.concatenate([batch.label[batch.weight > 0] for batch in rows.batches(4, 2, None)])
    assert labels.tolist() == [0, 1, 0, 1, 0, 1]
