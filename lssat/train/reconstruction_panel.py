"""The picture of an epoch: what was hidden, what was to be rebuilt, what was rebuilt."""

from __future__ import annotations

import io

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
TILE = 112
"""Side in pixels of one picture."""
CAPTION = 26
"""Height in pixels of the line that names the columns."""
LETTERS = 20
"""Size of its font: TensorBoard shows pictures smaller by leaving out pixels, and a thinner stroke goes with them."""


@torch.no_grad()
def draw_panel(config: Config, model: LSSAT, rows: Rows, device: torch.device) -> bytes:
    """PNG of the first rows of a split, one face a line: image, masked input, target, prediction.

    Visible patches of the prediction are those of the target. Every epoch hides the same patches, so that panels
    compare.
    """
    batch = next(iter(rows.batches(NUM_FACES, 1, None)))
    image, _ = to_device(batch, device)
    encoder = model.encoder
    noise = torch.rand(len(image), encoder.num_cells, generator=torch.Generator().manual_seed(0))
    mask = random_mask(sent(noise, device), encoder.ratio(config.masking.ratio))
    masked = stream_image(image, config.masked_stream, config.texture)
    model.eval()
    pred = model(stream_image(image, config.classified_stream, config.texture), masked, mask).pred
    target = make_target(image, config, encoder.unit, encoder.normalise)
    hidden = pixel_mask(mask.hidden, encoder.grid, (image.shape[2], image.shape[3]))

    wanted = target_picture(target, config, encoder.unit, encoder.denormalise)
    guessed = target_picture(pred.float(), config, encoder.unit, encoder.denormalise, is_pred=True)
    rebuilt = torch.where(hidden, guessed, wanted)
    columns = (image, torch.where(hidden, torch.full_like(masked, 0.5), masked), wanted, rebuilt)
    return sheet(torch.stack(columns, dim=1).clamp(0, 1).cpu())


def sheet(tiles: Tensor) -> bytes:
    """[N, 4, 3, H, W] -> PNG, with the names of the columns above."""
    sheet = Image.new("RGB", (len(COLUMNS) * TILE, len(tiles) * TILE + CAPTION), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    for column, name in enumerate(COLUMNS):
        pen.text((column * TILE + 4, 1), name, fill="black", font=font)
        for row, tile in enumerate(tiles[:, column]):
            pixels = (tile * 255).round().byte().permute(1, 2, 0).numpy()
            picture = Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.NEAREST)
            sheet.paste(picture, (column * TILE, row * TILE + CAPTION))
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()
