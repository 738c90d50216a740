"""What a folder of shards contains: `manifest.json` with sizes and digests of its files."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldin.data.histories import Histories
from foldin.errors import DataError
from foldin.files import write_json

__all__ = ["ARRAY_NAMES", "MANIFEST", "Manifest", "digest", "read_manifest", "write_manifest"]

MANIFEST = "manifest.json"
FORMAT, VERSION = "foldin shards", 2
_READ = (1, VERSION)  # the first had SHA-256 digests
# The arrays of `Histories`, each a `.npy` file where the log has it.
ARRAY_NAMES = ("items", "offsets", "times", "kinds", "values")
_ALGORITHMS = {"blake2b", "sha256"}
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Manifest:
    """What a folder of shards says of itself.

    Args:
        folder: where it is.
        content: the JSON object.
    """

    folder: Path
    content: dict[str, Any]

    def verify(self) -> None:
        """Compare the digests of all files.

        Raises:
            DataError: a file is damaged; the message gives it.
        """
        for name, about in self.content["files"].items():
            for algorithm in _ALGORITHMS & about.keys():
                if digest(self.folder / name, algorithm) != about[algorithm]:
                    raise DataError(f"{self.folder / name}: damaged: its {algorithm} differs from that in {MANIFEST}")


def digest(path: Path, algorithm: str = "blake2b") -> str:
    """The digest of a file in hexadecimal; BLAKE2b is quick on any processor, SHA-256 where it has instructions for it."""
    found = hashlib.new(algorithm)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def write_manifest(folder: Path, histories: Histories, workers: int, **content: Any) -> None:
    """Write the manifest of a folder, with the size and the digest of every other file in it.

    Args:
        histories: the events of the shards, whose fingerprint is noted.
        workers: digests that are computed at a time.
    """
    for one in folder.glob(".*.json.*"):  # what was being written when a preparation was killed
        one.unlink()
    paths = sorted(one for one in folder.iterdir() if one.is_file() and one.name != MANIFEST)
    with ThreadPoolExecutor(workers) as pool:
        fingerprint = pool.submit(histories.fingerprint)
        digests = pool.map(digest, paths)
        files = {
            one.name: {"bytes": one.stat().st_size, "blake2b": found} for one, found in zip(paths, digests, strict=True)
        }
    sizes = {"users": len(histories), "items": histories.n_items, "events": histories.n_events}
    about = {"format": FORMAT, "version": VERSION, **sizes, "fingerprint": fingerprint.result(), **content}
    write_json(folder / MANIFEST, {**about, "files": files})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, whose files have the sizes that it gives.

    Raises:
        DataError: it is not a folder of shards, is of another version, or a file is missing or cut short.
    """
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no shards: {MANIFEST} cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{folder}: no shards: {MANIFEST} is not one of foldin")
    if content["version"] not in _READ:
        raise DataError(f"{folder}: shards of version {content['version']}; this foldin reads version {VERSION}")
    for name, about in content["files"].items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: missing")
        if path.stat().st_size != about["bytes"]:
            raise DataError(
                f"{path}: {path.stat().st_size:,} bytes instead of {about['bytes']:,}: cut short or changed"
            )
    return Manifest(folder, content)
