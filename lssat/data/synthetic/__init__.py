"""Synthetic faces, rendered from a seed: the data that ship with the project."""

DRAWINGS = {
    "emotion": "0de09dfae5d2b22af27e8a1c528f7723cb8167eabdd6355eff2f7321131a235c",
    "attributes": "0de09dfae5d2b22af27e8a1c528f7723cb8167eabdd6355eff2f7321131a235c",
    "deepfake": "real faces, and fakes of them by four methods, whose traces come last",
}
"""Which drawing of the faces of each task this is: prepared data and studies of another one are not found again.

Give a task another value when what is drawn for it changes. (The first is the sha256 of the code that drew them first.)
"""
