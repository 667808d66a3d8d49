"""The page to drop photos on: who may ask, how much, and what a visitor sees."""

import asyncio
import http.client
import io
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from nicegui import ui
from nicegui.elements.upload_files import SmallFileUpload
from nicegui.testing import user_simulation
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import lssat
from lssat.answers.demo_page import MOST_BYTES, Page, answer, guard
from lssat.data.images import UnusableImage
from lssat.demo import main

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60
"""That an answer may take on a busy machine."""


@pytest.fixture(scope="module")
def guarded():
    """An application that says how many bytes it took."""

    async def taken(request):
        return PlainTextResponse(str(len(await request.body())))

    application = Starlette(routes=[Route("/", taken, methods=["GET", "POST"])])
    guard(application)
    return TestClient(application, base_url="http://127.0.0.1:8090")


def test_an_upload_has_a_length_and_a_limit(guarded):
    assert guarded.get("/").status_code == 200
    assert guarded.post("/", content=bytes(MOST_BYTES)).text == str(MOST_BYTES)
    assert guarded.post("/", content=bytes(2 * MOST_BYTES)).status_code == 413
    assert guarded.post("/", content=iter([b"part", b"part"])).status_code == 411
    for length in ("-1", "1e3", "²"):
        assert guarded.post("/", content=b"", headers={"content-length": length.encode()}).status_code == 413


def test_only_this_machine_is_answered_by_its_own_names(guarded):
    for host, status in (("localhost:8090", 200), ("127.0.0.1", 200), ("evil.example", 400), ("127.0.0.1.evil", 400)):
        assert guarded.get("/", headers={"host": host}).status_code == status


@pytest.fixture(scope="module")
def winner(best):
    return lssat.load(best, "cpu")


def test_an_answer_is_the_winners_own(winner, photos):
    for path in sorted(photos.iterdir())[:3]:
        prediction, explained = answer(winner, path.read_bytes())
        np.testing.assert_allclose(prediction.logits, winner.predict(path).logits, atol=1e-5)
        assert explained.face.shape == explained.looked.shape


def test_what_is_no_photo_has_a_reason(winner, tmp_path):
    bomb = io.BytesIO()
    Image.new("1", (20000, 20000)).save(bomb, "PNG")
    for content, reason in (
        (b"", "no image bytes"),
        (b"text", "not a JPEG or PNG"),
        (bytes(MOST_BYTES + 1), "at most 20 MiB"),
        (bomb.getvalue(), "bomb"),
    ):
        with pytest.raises(UnusableImage, match=reason):
            answer(winner, content)


async def seen(user, marker):
    """What the labels of this kind say, once nothing is awaited any more."""
    for _ in range(SECONDS * 10):
        await asyncio.sleep(0.1)
        if not elements(user, kind=ui.spinner) and (found := elements(user, marker=marker)):
            return [label.text for label in found]
    raise AssertionError(f"no {marker} was seen")


def elements(user, **what):
    try:
        return user.find(**what).elements
    except AssertionError:  # none
        return set()


def visit(winner, steps):
    async def run():
        with ThreadPoolExecutor(1) as alone:
            async with user_simulation(lambda: Page(winner, alone)) as user:
                await user.open("/")
                (upload,) = user.find(ui.upload).elements
                await steps(user, lambda name, content: upload.handle_uploads([SmallFileUpload(name, "", content)]))

    asyncio.run(run())


def test_a_visitor_sees_an_answer_or_a_reason_and_only_of_the_last_photo(winner, photos):
    first, *others = [path.read_bytes() for path in sorted(photos.iterdir())[:3]]

    async def steps(user, drop):
        await drop("notes.png", b"text")
        assert await seen(user, "reason") == ["No answer: not a JPEG or PNG image"]
        for name in ("../a.mp4", "null\0byte.jpg"):  # what a visitor calls it says nothing
            await drop(name, first)
            assert await seen(user, "answer") == winner.predict(Image.open(io.BytesIO(first))).labels
        for content in (b"text", *others, b"", first):
            await drop("photo.png", content)
        assert await seen(user, "answer") == winner.predict(Image.open(io.BytesIO(first))).labels
        assert len(elements(user, kind=ui.image)) == 5

    visit(winner, steps)


def test_a_fault_is_a_sentence_and_the_page_goes_on(best, photos, caplog):
    broken = lssat.load(best, "cpu")
    head = broken.bundle.model.head
    broken.bundle.model.head = None
    content = (photos / "00.png").read_bytes()

    async def steps(user, drop):
        await drop("photo.png", content)
        (reason,) = await seen(user, "reason")
        assert "something failed here" in reason
        broken.bundle.model.head = head
        await drop("photo.png", content)
        await seen(user, "answer")

    visit(broken, steps)
    assert "a photo could not be answered" in caplog.text


def test_it_serves_on_any_free_port_until_ctrl_c(best):
    words = [sys.executable, "-m", "lssat.demo", str(best), "--port", "0", "--device", "cpu"]
    outside = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}  # NiceGUI heeds it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    demo = subprocess.Popen(words, cwd=ROOT, env=outside, text=True, **pipes)
    killer = threading.Timer(120, demo.kill)
    killer.start()
    try:
        port = int(demo.stdout.readline().split()[0].rpartition(":")[2])
        assert ask(port, "GET") == 200
        assert ask(port, "GET", host="evil.example") == 400
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate()
        assert (out, demo.returncode) == ("", 130) and err.endswith("the demo has ended\n")
    finally:
        killer.cancel()
        demo.kill()


def ask(port, method, body=None, host="localhost"):
    """The status of the answer, once there is one."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, "/", body, {"Host": host})
            return connection.getresponse().status
        except ConnectionRefusedError:
            pass  # the address is printed before the server listens
        finally:
            connection.close()


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_cannot_be_is_one_sentence(monkeypatch, capsys, best, port):
    monkeypatch.setattr(sys, "argv", ["demo", str(best), "--port", port])
    assert main() == 2
    said = capsys.readouterr().err
    reason = "a port is a number from 0 to 65535"
    assert said.startswith(f"error: port {port} of 127.0.0.1 cannot be had ({reason}); ") and said.count("\n") == 1


def test_a_missing_extra_is_told_before_the_bundle_is_opened(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setattr(sys, "argv", ["demo", str(tmp_path)])
    assert main() == 2
    assert capsys.readouterr().err == "error: this needs captum, which the extra brings: pip install '.[demo]'\n"
