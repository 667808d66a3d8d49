"""L-SSAT: one encoder trained on a face task and, at the same time, to rebuild a texture map of the face from a masked
view.

`from lssat import load` opens a winner; torch is imported only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lssat.bundle.winner import Winner, load

__all__ = ["Winner", "load"]


def __getattr__(name: str) -> Any:
    """Import what takes seconds when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'lssat' has no attribute {name!r}")
    from lssat.bundle import winner

    return getattr(winner, name)
