"""Atomic writing and verified reading of files. Tensors are safetensors with a JSON object; nothing is unpickled."""

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from foldin.errors import RunError
from foldin.tensors import Tensor

try:
    import fcntl
except ImportError:  # a system without locks of files
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "FORMAT_VERSION",
    "held",
    "locked",
    "read_tensors",
    "sync",
    "write_atomically",
    "write_json",
    "write_tensors",
    "write_text",
    "written_by_foldin",
]

FORMAT_VERSION = 2
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def sync(path: Path) -> None:
    """Return when a file, or the list of files of a folder, is on the disk.

    Windows and some file systems have no such operation for folders; there nothing is done for a folder.

    Raises:
        OSError: the file cannot be written.
    """
    folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM):
            raise


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Replace a file at once, so that readers see the old or the new content: `write` fills a temporary file beside `path`.

    Raises:
        OSError: `path` cannot be written to, or is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; a file was expected", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)  # mkstemp makes files that only their owner reads
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A context in which no other process and no other thread holds the lock on a file, which is made if need be.

    The system releases the lock of a process that dies. On Windows nothing is locked.

    Raises:
        OSError: the file cannot be made.
    """
    with path.open("ab") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """A context that knows whether it alone holds the lock on a folder: it does not while another process or thread does.

    The system releases the lock of a process that dies. On Windows, and on file systems that have no locks of folders (NFS),
    nothing is locked.

    Raises:
        FileNotFoundError: the folder is not there, or was removed meanwhile.
        OSError: it cannot be opened.
    """
    if fcntl is None:
        yield True
        return
    descriptor, alone = os.open(folder, os.O_RDONLY), True
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if not os.path.samestat(os.fstat(descriptor), folder.stat()):
            raise FileNotFoundError(errno.ENOENT, "was removed and made again", str(folder))
        yield alone
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, atomically."""

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, indented, atomically."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors with a JSON object beside them, atomically."""
    metadata = {"foldin": json.dumps({"format_version": FORMAT_VERSION, **about}, allow_nan=False)}
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda part: safetensors.torch.save_file(flat, part, metadata))


def written_by_foldin(path: Path) -> bool:
    """Whether a file holds tensors that `write_tensors` wrote; only its header is read."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return "foldin" in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, the JSON object beside them).

    Raises:
        RunError: the file is missing, damaged, not written by foldin, or of another format version.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    if "foldin" not in metadata:
        raise RunError(f"{path}: a safetensors file, but not one of foldin's")
    try:
        about: dict[str, Any] = json.loads(metadata["foldin"])
        version = about["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error!r}") from error
    if version != FORMAT_VERSION:
        raise RunError(
            f"{path}: written in format version {version}, this foldin reads version {FORMAT_VERSION}; train it anew"
        )
    return tensors, about
