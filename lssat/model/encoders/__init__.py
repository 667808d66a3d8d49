"""Backbones of timm that can look at a partly hidden image.

`build.py` picks how: flat-token transformers drop hidden tokens (`tokens.py`); everything else overwrites and marks
them (`pyramid.py`) or, where asked for and exact, computes visible positions alone (`sparse.py`)."""
