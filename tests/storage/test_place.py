"""A folder at a URL: what is not whole is never taken, what does not answer is asked again."""

import threading
import time
from unittest.mock import Mock

import pytest

from lssat.errors import ConfigError, UserError
from lssat.storage import patience
from lssat.storage.patience import StorageLost, StorageRefuses
from lssat.storage.place import Place, _opened
from lssat.storage.staging import send_missing, staged
from lssat.storage.whole import MANIFEST, fetch_whole, read_of_whole, send_whole
from tests.storage.s3 import BUCKET


@pytest.fixture(params=["s3", "gs", "memory"])
def place(request, store, gcs, monkeypatch, tmp_path):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    name = f"a b/{tmp_path.name}"
    return Place.of({"s3": f"s3://{BUCKET}/{name}", "gs": gcs(name), "memory": f"memory://x/{name}"}[request.param])


def folder(path, **texts):
    path.mkdir()
    for name, text in texts.items():
        (path / name).write_text(text)
    return path


def read(path):
    return {file.name: file.read_text() for file in path.iterdir() if not file.name.startswith(".")}


def test_what_is_sent_is_fetched_and_takes_the_place_of_what_was_there(place, tmp_path):
    for texts in ({"a": "1", "b": "2"}, {"a": "3"}):
        send_whole(folder(tmp_path / f"sent{len(texts)}", **texts), place)
        assert fetch_whole(place, tmp_path / "fetched")
        assert read(tmp_path / "fetched") == texts
    assert len(place.sizes()) == 2, "a file and the manifest: what was there before is gone"


def test_a_folder_whose_sending_was_cut_leaves_the_one_of_before(place, tmp_path, monkeypatch):
    send_whole(folder(tmp_path / "old", a="old"), place)
    write = Place.write

    def cut(self, content):
        if self.name == MANIFEST:
            raise KeyboardInterrupt
        write(self, content)

    new = folder(tmp_path / "new", a="new", b="new")
    with monkeypatch.context() as patched:
        patched.setattr(Place, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            send_whole(new, place)
    assert len(place.sizes()) == 4, "the half of the new one is there"
    assert fetch_whole(place, tmp_path / "fetched")
    assert read(tmp_path / "fetched") == {"a": "old"}


@pytest.mark.parametrize("damage", ["another content", "gone", "no manifest", "a cut manifest"])
def test_what_is_not_as_it_was_written_is_not_taken(place, tmp_path, damage):
    send_whole(folder(tmp_path / "sent", a="1" * 100), place)
    (name,) = (name for name in place.sizes() if name != MANIFEST)
    if damage == "another content":
        (place / name).write(b"2" * 100)
    elif damage == "a cut manifest":
        (place / MANIFEST).write((place / MANIFEST).read()[:40])
    else:
        (place / (MANIFEST if damage == "no manifest" else name)).delete()
    folder(tmp_path / "fetched", a="of another epoch")
    assert not fetch_whole(place, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()
    assert read_of_whole(place, "a") is None


def test_the_name_of_a_place_names_it_again(place):
    assert Place.of(str(place / "c#?d é")) == place / "c#?d é"
    assert (place / "c").parent == place


def test_a_large_file_comes_back_as_it_was(place, tmp_path):
    content = bytes(range(256)) * 150_000  # 38 MB: several parts
    (tmp_path / "large").write_bytes(content)
    place.send(tmp_path / "large")
    place.fetch(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content


@pytest.mark.parametrize("kind", ["s3", "gs", "abfs"])
def test_a_storage_that_answers_no_is_not_asked_again(store, gcs, monkeypatch, kind):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", "")  # on it may be Azure's own command, with credentials
    place, said = {
        "s3": ("s3://no-such-bucket/x", "NO_SUCH_BUCKET"),
        "gs": (gcs("x").replace(BUCKET, "no-such-bucket"), "NOT_FOUND"),
        "abfs": ("abfs://bucket@account.dfs.core.windows.net/x", "Authentication"),
    }[kind]
    with pytest.raises(StorageRefuses, match=rf"{said}.*make the bucket") as raised:
        Place.of(place).write(b"")
    assert isinstance(raised.value, UserError) and isinstance(raised.value, OSError)


def test_a_storage_that_does_not_answer_is_asked_again(monkeypatch):
    """Pyarrow's own words for it, which no store here is asked for again and again."""
    answers = iter([OSError("AWS Error NETWORK_CONNECTION"), OSError("curlCode: 28"), "found"])
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)

    def ask():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert patience.patiently(ask, "s3://b") == "found"

    def never():
        raise OSError("curlCode: 28")

    with pytest.raises(StorageLost, match="for 0 s: TimeoutError; "):
        patience.patiently(Mock(side_effect=TimeoutError), "s3://b", 0.05)
    with pytest.raises(StorageLost, match=r"s3://b has not answered .* for 0 s: curlCode: 28; .*--resume"):
        patience.patiently(never, "s3://b", 0.05)


def test_what_was_written_while_the_store_hung_is_there(store, monkeypatch, tmp_path):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    place = Place.of(f"s3://{BUCKET}/{tmp_path.name}")
    writer = threading.Thread(target=place.write, args=(b"whole",))
    with store.unreachable():
        writer.start()
        time.sleep(6)
        assert writer.is_alive()
    writer.join(60)
    assert place.read() == b"whole"


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:SECRET@bucket/x",
        "s3://bucket/x?access_key=KEY&secret_key=SECRET",
        "gs://TOKEN@bucket/x",
        "abfs://bucket@account.dfs.core.windows.net/x?tenant_id=t&client_id=c&client_secret=SECRET",
        "abfs://:SECRET@account.blob.core.windows.net/bucket/x",
        "abfss://bucket:SECRET@account.dfs.core.windows.net/x",
    ],
)
def test_keys_in_an_address_are_refused_and_not_repeated(url):
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY") as raised:
        Place.of(url)
    assert not any(key in str(raised.value) for key in ("SECRET@", "=SECRET", "TOKEN"))


@pytest.mark.parametrize("address", ["bucket@account.dfs.core.windows.net", "account@bucket"])
def test_the_names_in_an_address_of_azure_are_no_keys(address):
    place = Place.of(f"abfss://{address}/x/y")
    assert place.path == "x/y" and Place.of(str(place)) == place
    assert _opened(place.root)[1] == "bucket", "what follows is joined by one slash"


def test_copies_that_were_used_longest_ago_make_room(place, tmp_path):
    for name in "abc":
        (place / name).write(name.encode() * 100)
    opened = staged(place / "a", 250, tmp_path / "copies")
    for name in ("b", "a", "c", "a"):
        time.sleep(0.02)  # when a copy was used is known to the tick of the file system
        with staged(place / name, 250, tmp_path / "copies") as file:
            assert file.read() == name.encode() * 100
    kept = [file for file in (tmp_path / "copies").iterdir() if not file.name.startswith(".")]
    assert sorted(file.read_bytes()[:1] for file in kept) == [b"a", b"c"]
    (place / "a").delete()
    with staged(place / "a", 250, tmp_path / "copies") as file:
        assert file.read() == opened.read(), "it is read from the disk"
    opened.close()


def test_files_are_sent_once(place, tmp_path):
    made = folder(tmp_path / "data", a="1", b="22")
    send_missing(made, place)
    (place / "b").write(b"2")  # half of it
    (place / "a").write(b"A")
    send_missing(made, place)
    assert {name: (place / name).read() for name in place.sizes()} == {"a": b"A", "b": b"22"}


def test_paths_and_file_urls_are_folders_of_this_machine(tmp_path):
    assert Place.of(f"file://{tmp_path}/a%20b").local == tmp_path / "a b" == Place.of(tmp_path / "a b").local
    with pytest.raises(ConfigError, match="nothing here opens `nowhere://x`"):
        Place.of("nowhere://x/y").read()
