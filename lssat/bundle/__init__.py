"""The winner as a folder, a bundle: exported, opened, scored, asked."""

from lssat.bundle.exporting import add_test, export
from lssat.bundle.folder import CONFIG, HEAD, LABELS, MANIFEST, PREPROCESSING, TEST, VALIDATION, WEIGHTS
from lssat.bundle.opening import Bundle, open_bundle
from lssat.bundle.scoring import score_bundle, score_trained

__all__ = [
    "CONFIG",
    "HEAD",
    "LABELS",
    "MANIFEST",
    "PREPROCESSING",
    "TEST",
    "VALIDATION",
    "WEIGHTS",
    "Bundle",
    "add_test",
    "export",
    "open_bundle",
    "score_bundle",
    "score_trained",
]
