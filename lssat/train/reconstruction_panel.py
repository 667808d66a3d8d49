"""The picture of an epoch: what was hidden, what was to be rebuilt, what was rebuilt."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lssat.config import Config
from lssat.data.prepared.rows import Rows
from lssat.inputs.masking import pixel_mask, random_mask
from lssat.inputs.sending import sent
from lssat.inputs.target import make_target, target_picture
from lssat.inputs.texture import stream_image
from lssat.model.lssat import LSSAT
from lssat.train.distributed import to_device

COLUMNS = ("image", "mask", "target", "prediction")
NUM_FACES = 4
SIDE = 256
"""About so many pixels wide a face is shown, so that a texture can be seen: each of its own is a square of pixels."""
CAPTION, LETTERS, WIDEST = 0.23, 0.18, 0.94
"""Height of the line that names the columns, size of its font, and most that a name takes, as parts of a column's
width: TensorBoard shows pictures smaller by leaving out pixels, and a thinner stroke goes with them.
"""


class Rebuilt(NamedTuple):
    """[N, 3, S, S] each: the masked input, grey where hidden, the target, and the target with the prediction there."""

    masked: Tensor
    target: Tensor
    rebuilt: Tensor


@torch.no_grad()
def draw_panel(config: Config, model: LSSAT, rows: Rows, device: torch.device) -> bytes:
    """PNG of the first rows of a split, one face a line: image, masked input, target, prediction.

    Visible patches of the prediction are those of the target. Every epoch hides the same patches, so that panels
    compare.
    """
    batch = next(iter(rows.batches(NUM_FACES, 1, None)))
    image, _ = to_device(batch, device)
    model.eval()
    columns = (image, *rebuild(config, model, image, torch.Generator().manual_seed(0)))
    return sheet(torch.stack(columns, dim=1).clamp(0, 1).cpu())


def rebuild(config: Config, model: LSSAT, image: Tensor, generator: torch.Generator) -> Rebuilt:
    """image: [N, 3, S, S] in [0, 1]. `generator` draws what is hidden."""
    encoder = model.encoder
    noise = torch.rand(len(image), encoder.num_cells, generator=generator)
    mask = random_mask(sent(noise, image.device), encoder.ratio(config.masking.ratio))
    masked = stream_image(image, config.masked_stream, config.texture)
    pred = model(stream_image(image, config.classified_stream, config.texture), masked, mask).pred
    target = make_target(image, config, encoder.unit, encoder.normalise)
    hidden = pixel_mask(mask.hidden, encoder.grid, (image.shape[2], image.shape[3]))

    wanted = target_picture(target, config, encoder.unit, encoder.denormalise)
    guessed = target_picture(pred.float(), config, encoder.unit, encoder.denormalise, is_pred=True)
    seen = torch.where(hidden, torch.full_like(masked, 0.5), masked)
    return Rebuilt(seen, wanted, torch.where(hidden, guessed, wanted))


def sheet(tiles: Tensor, columns: Sequence[str] = COLUMNS) -> bytes:
    """[N, C, 3, H, W] in [0, 1] -> PNG, magnified, with the names of the columns above."""
    height, width = (side * magnification(tiles.shape[-1]) for side in tiles.shape[-2:])
    caption = round(CAPTION * width)
    sheet = Image.new("RGB", (len(columns) * width, len(tiles) * height + caption), "white")
    longest = max(ImageFont.load_default(100).getlength(name) for name in columns) / 100
    letters = min(LETTERS * width, WIDEST * width / longest)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(round(letters))
    for column, name in enumerate(columns):
        pen.text((column * width + width // 28, 1), name, fill="black", font=font)
        for row, tile in enumerate(tiles[:, column]):
            pixels = (tile * 255).round().byte().permute(1, 2, 0).numpy()
            picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(picture, (column * width, row * height + caption))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def magnification(side: int) -> int:
    """How many pixels each of a face so many pixels wide becomes in each direction: 4 of 64, 1 of 224."""
    return max(1, round(SIDE / side))
