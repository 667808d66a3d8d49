"""`python -m lssat.tools.encoders`: survey timm's modules and write the table to docs/encoders.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import timm

from lssat.command import check_extra, exit_code, local_path
from lssat.errors import ConfigError
from lssat.text.did_you_mean import did_you_mean
from lssat.text.markdown import markdown_table
from lssat.tools.encoder_child import CHILD, survey_in_child
from lssat.tools.encoder_onnx import ROWS, onnx_in_child
from lssat.tools.encoder_steps import BATCHES, STEPS
from lssat.tools.encoder_survey import Row

OUTPUT = Path(__file__).parents[2] / "docs" / "encoders.md"

PROSE = """\
# Encoders: every model module of timm

Written by `python -m lssat.tools.encoders` with timm {timm}: of each module the smallest architecture (by parameters,
without classifier), with random weights, on the CPU, in float32. {ok} of {all} work; {refused} are refused.

- **masking**: `tokens` drops the hidden tokens, so that the masked pass is shorter; `pyramid` overwrites hidden units
  with the backbone's mean pixel and puts a learnable token at their positions in the first stage's output (after the
  patch embedding where all blocks work at one resolution).
- **image**, **unit**: side in pixels of the image and of what is hidden at once: the smallest pair tried that the model
  takes.
- **joint step**: {steps} training steps of the joint loss with each of {batches} rows, AdamW's updates included, images
  and maps laid out in memory as in a run. Each has a finite loss, and finite gradients in every parameter that timm's
  own output depends on, in head, decoder and mask token.
- **contract**: training and evaluating, the clean pass is timm's pre-logits output; hidden pixels change nothing in the
  masked pass; the masked pass changes no buffer, no parameter and no later clean pass.
- **ONNX**: torch's exporter writes the model, and onnxruntime answers {rows} random images as torch does, in batches of
  1, 7 and 32 (logits differ by at most 1e-4, labels are the same), on random weights. Empty: not tried yet.
- **norms**: the share of the parameters that layers which normalise have, and which learns with `optim.tune: norms`;
  none: it is refused there. **blocks**: the largest k of `last_k`.

Each module has a process of its own: one that dies or hangs is refused with the signal that ended it, or the time it
had, as the reason.

"""
COLUMNS = (
    "module",
    "architecture",
    "parameters",
    "masking",
    "image",
    "unit",
    "joint step",
    "contract",
    "refused because",
    "ONNX",
    "norms",
    "blocks",
)


def main() -> int:
    """Survey the modules asked for and write the table. 0: done, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m lssat.tools.encoders", description=__doc__)
    parser.add_argument("--modules", help="comma-separated modules of timm; all, where left out")
    parser.add_argument(
        "--output", type=local_path, help=f"where the table goes; {OUTPUT.name} in docs/, or nowhere with --modules"
    )
    arguments = parser.parse_args()
    modules = arguments.modules.split(",") if arguments.modules else timm.list_modules()
    output = arguments.output or (None if arguments.modules else OUTPUT)
    return exit_code(lambda: _write(modules, output))


def check_modules(modules: Sequence[str]) -> None:
    """Raises ConfigError for a name that is no module of timm."""
    for module in modules:
        if module not in timm.list_modules():
            hint = did_you_mean(module, timm.list_modules()) or "`timm.list_modules()` lists them"
            raise ConfigError(f"`--modules` takes modules of timm, but got {module!r}; {hint}")


def survey_all(
    modules: Sequence[str], child: Sequence[str] = CHILD, onnx: Callable[[Row], str] = onnx_in_child
) -> list[Row]:
    """A row for each module, in order, each found by the command `child`, and what `onnx` says of it; each is printed
    as it comes.
    """
    rows: list[Row] = []
    started = time.monotonic()
    for count, module in enumerate(modules, 1):
        row = survey_in_child(module, child)
        rows.append(replace(row, onnx=onnx(row)) if row.ok else row)
        minutes = (time.monotonic() - started) / count * (len(modules) - count) / 60
        print(f"[{count}/{len(modules)}, {minutes:.0f} min left] {' '.join(cells(rows[-1]))}", flush=True)
    return rows


def table(rows: Sequence[Row]) -> str:
    """The survey as Markdown."""
    ok = sum(row.ok for row in rows)
    prose = PROSE.format(
        timm=timm.__version__,
        ok=ok,
        all=len(rows),
        refused=len(rows) - ok,
        steps=STEPS,
        rows=ROWS,
        batches=" and ".join((", ".join(map(str, BATCHES[:-1])), str(BATCHES[-1]))),
    )
    return prose + markdown_table(COLUMNS, map(cells, rows), right=("parameters", "image", "unit", "norms", "blocks"))


def cells(row: Row) -> tuple[str, ...]:
    """One row of the table."""
    fit = (row.masking, str(row.image_size), str(row.unit)) if row.masking else ("-", "-", "-")
    return (
        row.module,
        row.architecture,
        f"{row.params:,}",
        *fit,
        _yes(row.step),
        _yes(row.contract),
        row.reason,
        row.onnx,
        f"{row.norms:.2%}" if row.norms else "none",
        str(row.blocks),
    )


def _write(modules: Sequence[str], output: Path | None) -> None:
    check_modules(modules)
    check_extra("export")
    rows = survey_all(modules)
    if output:
        output.write_text(table(rows))
    print(f"{sum(row.ok for row in rows)} of {len(rows)} work" + (f"; table in {output}" if output else ""))


def _yes(ok: bool) -> str:
    return "yes" if ok else "no"


if __name__ == "__main__":
    sys.exit(main())
