"""Runs at URLs: copied once into a local cache, in a folder named by the digest of the run, and verified.

A run never changes, so that a copy that matches its digests is right for ever, and needs no network. An index may be built later,
and is taken up when the run's URL is read. The URL is one that
`fsspec` reads, such as `s3://bucket/runs/films` or `https://example.org/runs/films`, and has the files of a run directory
below it, or generations with a pointer to the current one (`runs/pointer.py`).
"""

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from foldin.data.named import cache_folder
from foldin.errors import FoldinError, MissingExtraError, RunError, warn
from foldin.files import locked
from foldin.runs.contents import read_info
from foldin.runs.pointer import GENERATIONS
from foldin.runs.stored_index import INDEX_FILES, is_copied

__all__ = ["is_url", "local_run", "name_of_run", "without_secrets"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"\w[\w.-]*")  # a plain name: a run in a cache must not write elsewhere


def is_url(uri: str) -> bool:
    """Whether a run's address is a URL, not a folder."""
    return "://" in uri


def without_secrets(uri: str) -> str:
    """The address of a run without the user, password and query that a URL may have, for messages."""
    if not is_url(uri):
        return uri
    scheme, _, rest = uri.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def name_of_run(uri: str) -> str:
    """The last part of a run's address, which is its name in service unless another is given."""
    if is_url(uri):
        return without_secrets(uri).rstrip("/").rpartition("/")[2]
    return Path(uri).resolve().name


def local_run(uri: str, *, digest: str | None = None, cache: Path | None = None) -> Path:
    """The folder of a run: the one given, or the cache's verified copy of the run at a URL, downloaded on first use.

    Args:
        uri: a folder, which is returned as it is, or a URL.
        digest: digest that the run at the URL must have; with it, a run in the cache is found without the network.
        cache: folder of the copies; `runs` in the cache folder of foldin if omitted.

    Raises:
        RunError: the URL cannot be read, or has no finished and undamaged run, or one of another digest.
        MissingExtraError: the package `fsspec` is not installed.
    """
    if not is_url(uri):
        return Path(uri)
    root = cache or cache_folder() / "runs"
    if digest is not None and _is_whole(root, digest):
        return root / digest
    remote = _Remote(uri)
    content, info = remote.info()
    if "generation" in info:
        remote = _Remote(_below(uri, f"{GENERATIONS}/{int(info['generation']):04d}"))
        content, info = remote.info()
    found = str(info["digest"])
    if digest is not None and found != digest:
        raise RunError(f"{remote.shown}: holds the run {found[:12]}; {digest[:12]} was expected")
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / f".{found}.lock"):  # several processes that need the run download it once
        if _is_whole(root, found):
            remote.copy_index(root / found)
        else:
            _download(remote, content, info, root / found)
    return root / found


def _below(uri: str, path: str) -> str:
    """The URL of a path below a URL, which may have a query."""
    address, question, query = uri.partition("?")
    return f"{address.rstrip('/')}/{path}{question}{query}"


class _Remote:
    """The files below a URL."""

    def __init__(self, uri: str) -> None:
        self.shown = without_secrets(uri)
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingExtraError("fsspec", "remote", f"the run at {self.shown}") from error
        try:
            self._files, root = url_to_fs(uri)
        except Exception as error:  # each file system raises errors of its own
            raise RunError(f"{self.shown}: cannot be read: {error}") from error
        self._root = str(root).rstrip("/")

    def info(self) -> tuple[bytes, dict[str, Any]]:
        """`run.json`, as bytes and as an object whose digest and names of files can be trusted as names of files."""
        try:
            content = bytes(self._files.cat_file(f"{self._root}/run.json"))
        except FileNotFoundError as error:
            raise RunError(f"{self.shown}: not a finished run: no run.json in it") from error
        except Exception as error:
            raise RunError(f"{self.shown}: cannot be read: {error}") from error
        try:
            info: dict[str, Any] = json.loads(content)
            names, digest = [str(name) for name in info["files"]], str(info["digest"])
            int(info.get("generation", 0))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.shown}/run.json: damaged: {error!r}") from error
        if not _DIGEST.fullmatch(digest) or not all(map(_FILE.fullmatch, names)):
            raise RunError(f"{self.shown}/run.json: damaged: a digest and plain names of files were expected")
        return content, info

    def copy(self, name: str, target: Path) -> None:
        """Copy one file."""
        try:
            self._files.get_file(f"{self._root}/{name}", str(target))
        except FileNotFoundError as error:
            raise RunError(f"{self.shown}/{name}: missing from the run") from error
        except Exception as error:
            raise RunError(f"{self.shown}/{name}: cannot be read: {error}") from error

    def copy_index(self, target: Path) -> None:
        """Copy the index that is stored with the run into a folder, unless it is there: the run is used without it too.

        What cannot be copied as a whole changes nothing in the folder.
        """
        index, about = INDEX_FILES
        try:
            content = bytes(self._files.cat_file(f"{self._root}/{about}"))
        except Exception:  # each file system raises errors of its own; most runs have no index
            return
        own = target / about
        if own.is_file() and own.read_bytes() == content and (target / index).is_file():
            return
        try:
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".index.") as part:
                copies = [Path(part) / name for name in INDEX_FILES]
                self.copy(index, copies[0])
                copies[1].write_bytes(content)
                if not is_copied(Path(part)):
                    raise RunError(f"{self.shown}/{index}: its content does not match the digest in {about}")
                own.unlink(missing_ok=True)  # until the new one is complete, there is none
                for copied in copies:
                    copied.replace(target / copied.name)
        except (RunError, OSError) as error:
            warn(f"the index of the run is not taken up: {error}")


def _is_whole(root: Path, digest: str) -> bool:
    """Whether the cache has an undamaged copy."""
    try:
        return bool(_DIGEST.fullmatch(digest)) and str(read_info(root / digest)["digest"]) == digest
    except (FoldinError, OSError):
        return False


def _download(remote: _Remote, content: bytes, info: dict[str, Any], target: Path) -> None:
    """Put a copy in the place of `target` at once, after everything in it has been verified."""
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:12]}."))
    try:
        for name in info["files"]:
            remote.copy(name, part / name)
        remote.copy_index(part)
        (part / "run.json").write_bytes(content)
        try:
            read_info(part)
        except RunError as error:
            raise RunError(f"{remote.shown}: {str(error).removeprefix(str(part)).lstrip('/: ')}") from error
        if target.exists():  # it is damaged, or it would have been used
            shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
