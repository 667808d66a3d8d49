"""Whether a storage is there: the folder tree or the objects, of this machine or shared by many, that checkpoints go
to.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from lssat.storage.patience import StorageLost
from lssat.storage.place import Place


@dataclass(frozen=True)
class StorageMark:
    """A file at the root of a storage, with a line that no other storage has.

    Where a file system is not mounted, or hidden under another, its mount point is a folder like any other: what is
    written there succeeds and is lost, and what was written before seems never to have been. The mark tells.
    """

    file: Place
    line: str

    @property
    def is_there(self) -> bool:
        """Whether the storage is. Raises OSError where the file system cannot say."""
        try:
            return self.line in self.file.read().decode("utf-8").splitlines()
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return False

    def check(self) -> None:
        """Raises StorageLost."""
        if not self.is_there:
            raise StorageLost(
                f"{self.file.parent} on {os.uname().nodename} must be the storage that the study began with, but its "
                f"mark, the line {self.line} in {self.file.name}, is not there; mount the storage again and go on with "
                "`--resume`. Where its checkpoints are gone for good, put that line there, and what is needed of them "
                "is trained anew"
            )
