"""Names of files that are no text, or would break a list."""

import os

import pytest

from lssat.data.names import as_text, on_one_line


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
