"""Names of files as text: a name on disk is bytes, which need not be UTF-8 and may hold what breaks a screen."""

from __future__ import annotations

import os
import re

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def as_text(name: str) -> str:
    r"""The name with each byte that is not UTF-8 written as `\xd5`: what JSON, CSV and Parquet can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def on_one_line(name: str) -> str:
    r"""`as_text`, and new lines, tabs, escapes and other control characters written as `\n` or `\x1b`: for lists and
    messages.
    """
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), as_text(name))
