"""Grids of gray pictures as PNG files, without a plotting library."""

import struct
import zlib
from pathlib import Path

import torch

__all__ = ["write_grid"]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_grid(path: Path, pictures: torch.Tensor, columns: int) -> None:
    """Pictures, (n, height, width) of uint8, row by row with `columns` in a row and white lines between them."""
    n, height, width = pictures.shape
    rows = -(-n // columns)
    sheet = torch.full((rows * (height + 1) - 1, columns * (width + 1) - 1), 255, dtype=torch.uint8)
    for at, picture in enumerate(pictures):
        top, left = at // columns * (height + 1), at % columns * (width + 1)
        sheet[top : top + height, left : left + width] = picture
    # Every line begins with its filter, 0 for none; 8 bits of gray.
    lines = b"".join(b"\0" + bytes(line.tolist()) for line in sheet)
    header = struct.pack(">IIBBBBB", sheet.shape[1], sheet.shape[0], 8, 0, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")
    )
