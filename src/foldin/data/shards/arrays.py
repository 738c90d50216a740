"""A `.npy` file that grows: its header is written again with the final length."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from foldin.tensors import Array

__all__ = ["GrowingArray"]

_HEADER = 128  # bytes: what NumPy writes for a one-dimensional array of any length


def _header(dtype: Any, length: int) -> bytes:
    buffer = io.BytesIO()
    about = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(buffer, about)
    assert len(buffer.getvalue()) == _HEADER
    return buffer.getvalue()


class GrowingArray:
    """A one-dimensional array on disk that is appended to.

    Args:
        path: its `.npy` file; one that exists is continued after `length` entries.
        dtype: type of an entry.
        length: number of entries that are there already.
    """

    def __init__(self, path: Path, dtype: Any, length: int = 0) -> None:
        self.dtype, self.length = np.dtype(dtype), length
        self._file = path.open("r+b" if length else "w+b")
        if length:  # what was appended after the last sync is lost
            self._file.truncate(_HEADER + length * self.dtype.itemsize)
            self._file.seek(0, os.SEEK_END)
        else:
            self._file.write(_header(self.dtype, 0))

    def append(self, values: Array) -> None:
        """Write further entries at the end."""
        self._file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.length += len(values)

    def sync(self) -> None:
        """Make sure that what was appended is on the disk, under a header that says so."""
        self._file.seek(0)
        self._file.write(_header(self.dtype, self.length))
        self._file.seek(0, os.SEEK_END)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""
        self._file.close()
