"""A storage that does not answer is asked again for a while; then it is lost, and whoever asked can go on later."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from lssat.errors import UserError

Answer = TypeVar("Answer")
PATIENCE_S = 600.0
"""For how long a storage that does not answer is asked again."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
REFUSALS = (
    *("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY", "SIGNATURE", "UNRECOGNIZED_CLIENT", "TOKEN"),  # s3://
    *("ContainerNotFound", "Authorization", "Authentication"),  # abfs://
)
"""What stands in the error of a storage that has answered: asked again it would say the same."""
KEYS = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; GOOGLE_APPLICATION_CREDENTIALS; AZURE_TENANT_ID, AZURE_CLIENT_ID and "
    "AZURE_CLIENT_SECRET"
)
"""By which variables of the environment the rights to a storage are given."""


class StorageLost(OSError):
    """The storage of a study is not where it was. The run that meets this is not at fault and can go on later."""


class StorageRefuses(UserError, OSError):
    """The storage answers that it does not know the bucket, or does not let this machine in."""


def patiently(ask: Callable[[], Answer], what: str, patience_s: float = PATIENCE_S) -> Answer:
    """What `ask` returns, which is asked again after errors of the system. `what`: the place, for messages.

    That a file is not there is an answer. Raises FileNotFoundError, StorageRefuses, StorageLost.
    """
    end, wait = time.monotonic() + patience_s, FIRST_WAIT_S
    while True:
        try:
            return ask()
        except FileNotFoundError:
            raise
        except OSError as error:
            said = (str(error).splitlines() or [type(error).__name__])[0][:300]
            if isinstance(error, PermissionError) or any(word in str(error) for word in REFUSALS):
                raise refusal(what, said) from None
            if time.monotonic() + wait > end:
                raise StorageLost(
                    f"{what} has not answered {os.uname().nodename} for {patience_s:.0f} s: {said}; see to the network "
                    "and the storage, and go on with `--resume`"
                ) from None
            logging.getLogger(__name__).warning("%s does not answer, and is asked again: %s", what, said)
            time.sleep(wait * random.uniform(0.7, 1.0))  # many workers must not ask all at once
            wait = min(2 * wait, LONGEST_WAIT_S)


def refusal(what: str, said: str) -> StorageRefuses:
    """The error for a place, by the words of its storage."""
    return StorageRefuses(
        f"{what} on {os.uname().nodename} refuses: {said}; make the bucket, or give the right to it by the environment "
        f"({KEYS}) or a role of the machine"
    )
