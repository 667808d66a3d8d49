"""Synthetic faces, rendered from a seed: the data that ship with the project."""

DRAWING = "0de09dfae5d2b22af27e8a1c528f7723cb8167eabdd6355eff2f7321131a235c"
"""Which drawing of the faces this is: prepared data and studies of another one are not found again.

Give it another value when what is drawn changes. (This one is the sha256 of the code that drew them first.)
"""
