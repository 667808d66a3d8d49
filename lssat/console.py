"""A console that shows text as it is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from lssat.visible import visible


class SafeConsole(Console):
    """Neither markup nor control characters in text are obeyed, since much of it comes from outside."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text on its way to the screen, cells of tables included."""
        return super().render_str(visible(text), **options)
