"""How a search ends, well or not: its exit code, what is said, and what it leaves behind."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lssat.command import INTERRUPTED, words_that_started
from lssat.errors import UserError
from search.command_line.last_report import leave_report
from search.record.folder import RunFolder
from search.record.manifest import Manifest
from search.record.mirror import Mirror
from search.record.resuming import resume_line

if TYPE_CHECKING:
    from rich.console import Console

MACHINE_FAILED = 3


@dataclass(frozen=True)
class Ending:
    """Of one session. `begun`: the study's manifest before it. `leave`: makes last words unneeded."""

    folder: RunFolder
    begun: Manifest | None
    mirror: Mirror
    console: Console
    leave: Callable[[], None]

    def of(self, study: Callable[[], bool]) -> int:
        """The exit code of a study, which says whether it has a winner. Raises UserError."""
        try:
            return 0 if study() else 1
        except UserError:
            raise
        except KeyboardInterrupt:
            self.console.print(f"\ninterrupted; {how_to_go_on(self.folder)}", soft_wrap=True)
            return INTERRUPTED
        except Exception as error:
            return say_what_failed(error, self.folder, self.console)
        finally:
            leave_report(self.folder, self.begun, self.console)
            self.mirror.close()

    def lost(self, error: Exception) -> None:
        """End this process, from whatever thread, where the cluster is lost: who waits for it would wait for ever."""
        code = say_what_failed(error, self.folder, self.console)
        leave_report(self.folder, self.begun, self.console)
        self.mirror.close()
        self.leave()
        os._exit(code)


def say_what_failed(error: Exception, folder: RunFolder, console: Console) -> int:
    """What to do after an error that is not the user's; the exit code."""
    from lssat.on_ray.machine_fault import machine_failed  # it loads Ray

    if failed := machine_failed(error):
        console.print(f"the machine failed, not a configuration: {failed}", style="red", soft_wrap=True)
        console.print(how_to_go_on(folder), soft_wrap=True)
        return MACHINE_FAILED
    console.print(f"unexpected {type(error).__name__}: {error}", style="red", soft_wrap=True)
    console.print("".join(traceback.format_exception(error)), soft_wrap=True)
    if folder.has_begun:
        console.print(f"Ray's side of it is in {folder.log}; {how_to_go_on(folder)}", soft_wrap=True)
    return 1


def ended_without_a_word(folder: RunFolder) -> str:
    """What is said of a search that could not say anything."""
    return (
        "the search was killed, or ended by Ray, which does so where its raylet on this machine has died (what it said "
        f"is in {folder.log}); {how_to_go_on(folder)}\n"
    )


def how_to_go_on(folder: RunFolder) -> str:
    """What to type next."""
    if not folder.has_begun:
        return f"the study had not begun; the same command begins it. What libraries said is in {folder.log}"
    return f"nothing is lost. Go on with:\n  {resume_line(words_that_started(), sys.argv[1:], folder)}"
