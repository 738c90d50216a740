"""Pictures in the IDX format of MNIST, by name or from a folder."""

import gzip
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from foldin.data.examples import Examples
from foldin.data.fetch import fetch
from foldin.data.named import cache_folder
from foldin.errors import DataError

__all__ = ["IMAGES", "Pictures", "PublicPictures", "load_pictures", "read_idx"]

_BYTES = 0x08
_MOST = 1 << 33  # maximum size of the pictures of a file, in bytes
_PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Pictures:
    """Training and test pictures, (rows, height, width) of uint8, with the class of each."""

    train: Examples
    test: Examples
    train_labels: torch.Tensor
    test_labels: torch.Tensor


@dataclass(frozen=True)
class PublicPictures:
    """A public set of pictures: the addresses and checksums of its four files, and the folder of its system package."""

    url: str
    digests: tuple[str, str, str, str]
    package: Path


IMAGES: Mapping[str, PublicPictures] = MappingProxyType(
    {
        # Debian's package dataset-fashion-mnist carries the same files.
        "fashion-mnist": PublicPictures(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            Path("/usr/share/datasets/fashion-mnist"),
        )
    }
)


def read_idx(path: Path) -> torch.Tensor:
    """The tensor of bytes in an IDX file, compressed by gzip or not.

    Raises:
        DataError: no such file, not in the IDX format, another type than bytes, or truncated.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _BYTES or magic[3] == 0:
                raise DataError(f"{path}: not an IDX file of bytes")
            header = file.read(4 * magic[3])
            shape = [int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header), 4)]
            size = math.prod(shape)
            if len(header) < 4 * magic[3] or size > _MOST:
                raise DataError(f"{path}: damaged: its header announces {'×'.join(map(str, shape))}")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged: {error}") from error
    if len(content) != size:
        more = "more than" if len(content) > size else f"{len(content):,} bytes of"
        raise DataError(f"{path}: {more} the {'×'.join(map(str, shape))} that its header announces")
    return torch.from_numpy(np.frombuffer(content, np.uint8).reshape(shape).copy())


def load_pictures(
    source: str | Path,
    *,
    sets: Mapping[str, PublicPictures] = IMAGES,
    cache: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Pictures:
    """Pictures by name (`fashion-mnist`; from its system package, or downloaded once) or from a folder of IDX files.

    Raises:
        DataError: no such name or folder, or files that cannot be used.
        DownloadError: the download failed, or the checksum differs.
    """
    folder = Path(source)
    if not folder.is_dir():
        if str(source) not in sets:
            raise DataError(f"{source}: no such folder, and no pictures of that name; there are {', '.join(sets)}")
        public = sets[str(source)]
        folder = public.package
        if not folder.is_dir():
            folder = (cache or cache_folder()) / str(source)
            for name, digest in zip(_PARTS, public.digests, strict=True):
                fetch(f"{public.url}{name}.gz", folder / f"{name}.gz", digest=digest, kind="md5", progress=progress)
    found = []
    for name in _PARTS:
        plain = folder / name
        found.append(read_idx(plain if plain.is_file() else folder / f"{name}.gz"))
    train, train_labels, test, test_labels = found
    for images, labels, what in ((train, train_labels, "training"), (test, test_labels, "test")):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(f"{folder}: {len(labels)} labels of {what} pictures of shape {tuple(images.shape)}")
    if train.shape[1:] != test.shape[1:]:
        raise DataError(f"{folder}: training pictures {tuple(train.shape[1:])}, test pictures {tuple(test.shape[1:])}")
    return Pictures(Examples(train), Examples(test), train_labels, test_labels)
