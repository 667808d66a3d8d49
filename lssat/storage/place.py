"""A folder of a storage: on a disk that this machine mounts, or of objects at a URL that pyarrow or fsspec can open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

from lssat.errors import ConfigError
from lssat.files import make_folder, write_whole
from lssat.storage.patience import KEYS, PATIENCE_S, patiently, refusal

Answer = TypeVar("Answer")
PIECE = 1 << 24
"""Bytes that are copied at a time."""
SECRETS = ("access_key", "account_key", "client_secret", "secret_key", "token", "password", "sas", "sig")
NO_SECRETS = (
    "a storage's address must hold no key or password, since it goes into logs and the manifest; give those by the "
    f"environment ({KEYS}) or a role of the machine"
)
GS_RETRY_S = 30
"""For how long pyarrow itself asks again at gs://, silently; by itself it would for 15 minutes."""


@dataclass(frozen=True)
class Place:
    """`root`: "" for this machine's folders, else the URL of a bucket with its options. `path`: of the folder, or of a
    file in it: absolute on this machine, else the beginning of its objects' names. `patience_s`: for how long a URL
    that does not answer is tried.
    """

    root: str
    path: str
    patience_s: float = field(default=PATIENCE_S, compare=False)

    @classmethod
    def of(cls, words: str | Path) -> Place:
        """The place that a path or a URL names; `file://` names a path. Raises ConfigError where it cannot be one."""
        if isinstance(words, Path) or "://" not in words:
            return cls("", str(Path(words).absolute()))
        parts = urlsplit(words)
        if _holds_secret(parts):
            raise ConfigError(NO_SECRETS)
        if parts.scheme == "file":
            return cls("", str(Path(unquote(parts.path)).absolute()))
        query = f"?{parts.query}" if parts.query else ""
        return cls(f"{parts.scheme}://{parts.netloc}{query}", unquote(parts.path).strip("/"))

    def __str__(self) -> str:
        if not self.root:
            return self.path
        bucket, mark, query = self.root.partition("?")
        return f"{bucket}/{quote(self.path)}{mark}{query}"

    def __truediv__(self, name: str) -> Place:
        return Place(self.root, str(PurePosixPath(self.path, name)), self.patience_s)

    @property
    def name(self) -> str:
        """Of the folder or file."""
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> Place:
        """The folder that it is in."""
        return Place(self.root, str(PurePosixPath(self.path).parent).removeprefix("."), self.patience_s)

    @property
    def local(self) -> Path | None:
        """The path, of what this machine mounts."""
        return None if self.root else Path(self.path)

    def make(self) -> None:
        """Make a folder on this machine; objects need none."""
        if self.local:
            make_folder(self.local)

    def read(self) -> bytes:
        """What a file holds. Raises FileNotFoundError, StorageLost, OSError."""
        if self.local:
            return self.local.read_bytes()

        def read(files: Any, path: str) -> bytes:
            with files.open_input_stream(path) as stream:
                return bytes(stream.read())

        return self._ask(read)

    def write(self, content: bytes) -> None:
        """Put a file in the place of the one before, if any: whole, or not at all. Raises StorageLost, OSError."""
        if self.local:
            write_whole(self.local, lambda temporary: temporary.write_bytes(content))
            return

        def write(files: Any, path: str) -> None:
            with files.open_output_stream(path) as stream:
                stream.write(content)

        self._put(write)

    def send(self, file: Path) -> None:
        """Copy a file of this machine to a place that has no such object yet. Raises StorageLost, OSError."""
        if self.local:
            write_whole(self.local, lambda temporary: shutil.copyfile(file, temporary))
            return

        def send(files: Any, path: str) -> None:
            with file.open("rb") as source, files.open_output_stream(path) as stream:
                while piece := source.read(PIECE):
                    stream.write(piece)

        self._put(send)

    def fetch(self, file: Path) -> None:
        """Copy it to this machine: whole, or not at all. Raises FileNotFoundError, StorageLost, OSError."""
        if self.local:
            write_whole(file, lambda temporary: shutil.copyfile(self.path, temporary))
            return

        def copy(to: Path, files: Any, path: str) -> None:
            with files.open_input_stream(path) as stream, to.open("wb") as target:
                while piece := stream.read(PIECE):
                    target.write(piece)

        write_whole(file, lambda temporary: self._ask(partial(copy, temporary)))

    def sizes(self) -> dict[str, int]:
        """Bytes of each file in the folder and in those within it, by its name from here; none where it is not there.
        Raises StorageLost, OSError.
        """
        if self.local:
            found = (file for file in self.local.rglob("*") if file.is_file())
            return {file.relative_to(self.local).as_posix(): file.stat().st_size for file in found}

        def sizes(files: Any, path: str) -> dict[str, int]:
            from pyarrow.fs import FileSelector, FileType

            found = files.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
            return {
                str(PurePosixPath(info.path.strip("/")).relative_to(path)): info.size
                for info in found
                if info.type == FileType.File
            }

        return self._ask(sizes)

    def delete(self) -> None:
        """Delete a folder with all that is in it, or a file; nothing where it is not there. On this machine what cannot
        be deleted stays. Raises StorageLost, OSError.
        """
        if self.local:
            if self.local.is_dir():
                shutil.rmtree(self.local, ignore_errors=True)
            else:
                self.local.unlink(missing_ok=True)
            return

        def delete(files: Any, path: str) -> None:
            from pyarrow.fs import FileType

            kind = files.get_file_info(path).type
            if kind == FileType.Directory:
                with suppress(FileNotFoundError):  # pyarrow's word on gs:// for a folder that its files alone made
                    files.delete_dir(path)
            elif kind == FileType.File:
                files.delete_file(path)

        self._ask(delete)

    def _put(self, question: Callable[[Any, str], None]) -> None:
        """Of what writes, who is told that something is not there has no bucket."""
        try:
            self._ask(question)
        except FileNotFoundError as error:
            raise refusal(str(self), str(error)[:300]) from None

    def _ask(self, question: Callable[[Any, str], Answer]) -> Answer:
        """The answer of the file system at the URL, which is asked again where it does not answer."""

        def ask() -> Answer:
            from pyarrow import ArrowException

            files, start = _opened(self.root)
            try:
                return question(files, f"{start}/{self.path}".strip("/"))
            except ArrowException as unknown:  # of abfs://, where no credentials are found
                raise OSError(str(unknown)) from unknown

        return patiently(ask, str(self), self.patience_s)


@cache
def _opened(root: str) -> tuple[Any, str]:
    """The file system at a URL, and how the names of its files begin. Raises ConfigError where nothing opens it."""
    import pyarrow as pa
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        files, start = FileSystem.from_uri(_with_retry(root))
    except pa.ArrowInvalid as unknown:
        from fsspec.core import url_to_fs

        try:
            found, start = url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"nothing here opens `{root}` ({unknown}; {error}); give a folder, or a URL that begins with s3://, "
                "gs:// or abfs://"
            ) from None
        files = PyFileSystem(FSSpecHandler(found))
    return files, str(start).rstrip("/")


def _with_retry(root: str) -> str:
    if not root.startswith(("gs:", "gcs:")) or "retry_limit_seconds" in root:
        return root
    return f"{root}{'&' if '?' in root else '?'}retry_limit_seconds={GS_RETRY_S}"


def _holds_secret(parts: SplitResult) -> bool:
    """Azure names a container or an account before the `@`, which is none."""
    user, at, _ = parts.netloc.rpartition("@")
    is_name = user == "anonymous" or (parts.scheme in ("abfs", "abfss") and ":" not in user)
    return bool(at and not is_name) or any(f"{name}=" in parts.query.lower() for name in SECRETS)
