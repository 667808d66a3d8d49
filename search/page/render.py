"""A report as one HTML file that needs nothing else: no request leaves it, whoever opens it and when."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lssat.text.visible import visible
from search.page.charts import spec
from search.page.document import Block, Chart, Picture, Report, shown

HERE = Path(__file__).parent


def html(report: Report) -> str:
    """The page."""
    charts = {block.name: spec(block.chart) for block in report.blocks if isinstance(block, Chart)}
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            report=report,
            charts=Markup(json.dumps(charts, separators=(",", ":")).replace("<", "\\u003c")) if charts else None,
            library=Markup(_library()),
            script=Markup((HERE / "page.js").read_text()),
            style=Markup((HERE / "page.css").read_text()),
        )
    )


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which would end at the first `</script` in it."""
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub lacks the default
    return bundle.replace("</script", "<\\/script")


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    found.filters.update(shown=lambda cell: visible(shown(cell)), inlined=_inlined, kind=_kind, coded=_coded)
    found.finalize = lambda value: visible(value) if type(value) is str else value
    return found


def _coded(text: str) -> Markup:
    """A sentence in which what stands in backticks, as in Markdown, is code."""
    parts = visible(text).split("`")
    if len(parts) % 2 == 0:  # one that is never closed
        return escape("`".join(parts))
    marks = (Markup("<code>{}</code>") if place % 2 else Markup("{}") for place in range(len(parts)))
    return Markup("").join(mark.format(part) for mark, part in zip(marks, parts, strict=True))


def _kind(block: Block) -> str:
    return type(block).__name__


def _inlined(picture: Picture) -> str:
    """The picture as an address that holds it."""
    return f"data:image/{picture.suffix};base64,{base64.b64encode(picture.content).decode()}"
