"""Text from outside: names of files that are no text, or would break a list or a screen."""

import io
import os

import pytest
from rich.table import Table

from lssat.files import write_text
from lssat.text.console import SafeConsole
from lssat.text.markdown import markdown_table
from lssat.text.visible import as_text, on_one_line, visible


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (b"f/\xd5\xc5\xc8\xfd.jpg", r"f/\xd5\xc5\xc8\xfd.jpg", r"f/\xd5\xc5\xc8\xfd.jpg"),
        ("张三.jpg".encode(), "张三.jpg", "张三.jpg"),
        (b"caf\xe9 \xc3\xa9", r"caf\xe9 é", r"caf\xe9 é"),
        (b"a\nb\tc", "a\nb\tc", r"a\nb\tc"),
        (b"\x1b[31mred", "\x1b[31mred", r"\x1b[31mred"),
        (b'a,"b"', 'a,"b"', 'a,"b"'),
    ],
)
def test_names_become_text_that_shows_their_bytes(name: bytes, text: str, line: str) -> None:
    found = os.fsdecode(name)
    assert (as_text(found), on_one_line(found)) == (text, line)
    assert on_one_line(line) == line


@pytest.mark.parametrize(
    "text", [os.fsdecode("张三".encode("gbk")), "\ud800", "\x1b[2Jgone", "a\rb", "\u202eabc", "[bold]x[/bold]"]
)
def test_text_from_outside_is_shown_and_not_obeyed(tmp_path, text: str) -> None:
    screen = io.StringIO()
    console = SafeConsole(file=screen, width=80, force_terminal=True, color_system=None)
    table = Table(text)
    table.add_row(text)
    console.print(text, table)
    write_text(tmp_path / "table.md", markdown_table([text], [[text]]))
    for said in (screen.getvalue(), (tmp_path / "table.md").read_text(encoding="utf-8")):
        assert not {"\x1b", "\r", "\u202e"} & set(said)
        assert said.count(visible(text)) >= 2
        said.encode()
