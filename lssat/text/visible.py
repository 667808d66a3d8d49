r"""Text that comes from outside, such as names of files and labels, made safe: a name on disk is bytes, which need not
be UTF-8, and a label may hold what a terminal obeys instead of showing it.
"""

from __future__ import annotations

import re

SURROGATES = "\ud800-\udfff"  # as which the bytes of a name that are not UTF-8 reach Python
OBEYED = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"  # control characters, and what turns a line around
NO_TEXT = re.compile(f"[{SURROGATES}]")
NOT_SHOWN = re.compile(f"[{SURROGATES}{OBEYED}]")
NOT_ON_A_LINE = re.compile(f"[{SURROGATES}{OBEYED}\t\n]")


def as_text(name: str) -> str:
    r"""The name with each byte that is not UTF-8 written as `\xd5`: what JSON, CSV and Parquet can hold."""
    return NO_TEXT.sub(_escape, name)


def visible(text: str) -> str:
    """What a screen can be given: `as_text`, with control characters as escapes; line ends and tabs stay."""
    return NOT_SHOWN.sub(_escape, text)


def on_one_line(name: str) -> str:
    r"""What a list or a message can be given: `visible`, with line ends and tabs written as `\n` and `\t`."""
    return NOT_ON_A_LINE.sub(_escape, name)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # Python's sign for one byte
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode("ascii")
