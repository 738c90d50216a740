"""Memory that this process can still use, and clear errors for allocations that exceed it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from foldin.errors import CapacityError

__all__ = ["allocating", "building", "free_memory", "in_words", "lacks_memory", "require_memory"]

_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_UNLIMITED = 1 << 60  # version 1 of control groups writes a larger number where there is no limit
_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "Storage size calculation overflowed")
# Functions that create a tensor of a given size.
_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange}


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and int(text) < _UNLIMITED else None


def _entry(path: Path, name: str) -> int | None:
    """The value of a line such as "MemAvailable:   123 kB", in bytes; None if there is no such line."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key == name:
            return 1024 * int(value.split()[0])
    return None


def _physical() -> int | None:
    available = _entry(_PROC / "meminfo", "MemAvailable")
    if available is not None:
        return available
    try:  # macOS and others: all memory of the machine, since the free memory is not known
        import os

        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _grouped() -> list[int]:
    """Bytes that each control group of this process leaves."""
    try:
        lines = (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            root, limit_file, used_file = _CGROUP, "memory.max", "memory.current"
        elif "memory" in kinds.split(","):
            root, limit_file, used_file = _CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # In a container the path is often that of the host, and the group's own files are at the root.
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):
            if folder == root.parent:
                break
            limit, used = _number(folder / limit_file), _number(folder / used_file)
            if limit is not None and used is not None:
                left.append(max(0, limit - used))
    return left


def _limited() -> list[int]:
    """Bytes that the limits of the process (`ulimit -v`, `ulimit -d`) leave."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    left = []
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit, used = resource.getrlimit(kind)[0], _entry(_PROC / "self" / "status", name)
        if limit != resource.RLIM_INFINITY and used is not None:
            left.append(max(0, limit - used))
    return left


def free_memory(device: str | torch.device = "cpu") -> int | None:
    """Bytes that this process can still use on a device; None where that cannot be known.

    On the CPU, the minimum of the machine's available memory and of what the process's control groups and limits leave.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    physical = _physical()
    known = [*([] if physical is None else [physical]), *_grouped(), *_limited()]
    return min(known) if known else None


def in_words(size: float) -> str:
    """A number of bytes as text, such as "291 GB", "3.2 GB" or "45 MB"."""
    for unit, scale in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            value = size / scale
            return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{max(size, 0) / 1e3:.0f} kB"


def require_memory(size: float, what: str, advice: str, device: str | torch.device = "cpu") -> None:
    """Raise an error unless `size` bytes are free.

    Args:
        what: what needs them, such as "EASE of 270,000 items".
        advice: what to do instead, a clause that begins in lower case.

    Raises:
        CapacityError: fewer bytes are free.
    """
    free = free_memory(device)
    if free is not None and size > free:
        raise CapacityError(f"{what} needs {in_words(size)}; {in_words(free)} are free; {advice}")


class _Building(TorchFunctionMode):
    """Adds up the sizes of created tensors, and raises an error before one that no longer fits."""

    def __init__(self, free: int, what: str, advice: str) -> None:
        super().__init__()
        self.free, self.what, self.advice, self.made = free, what, advice, 0.0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _MAKERS:
            self.made += _bytes_of(func, args, kwargs)
            if self.made > self.free:
                raise CapacityError(
                    f"{self.what} needs more than {in_words(self.made)}; {in_words(self.free)} are free; {self.advice}"
                )
        return func(*args, **kwargs)


def _bytes_of(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    if func is torch.arange:
        numbers = [abs(float(one)) for one in args if isinstance(one, int | float)]
        return 8.0 * max(numbers, default=0.0)
    first = kwargs.get("size", args[0] if args else ())
    size = args if isinstance(first, int) else first
    if func is torch.full:
        size = kwargs.get("size", args[0])
    count = 1.0
    for one in size:
        count *= max(0, int(one))
    dtype = kwargs.get("dtype") or (torch.get_default_dtype() if func is not torch.full else torch.float32)
    return count * float(dtype.itemsize)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of NumPy, PyTorch or Python means that memory could not be allocated."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
    )


@contextmanager
def allocating(what: str, advice: str) -> Iterator[None]:
    """A context in which failed allocations of NumPy and PyTorch become one clear error.

    Raises:
        CapacityError: memory could not be allocated.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "none is left"
        raise CapacityError(f"{what} needs more memory than there is: {reason}; {advice}") from error


@contextmanager
def building(what: str, advice: str, device: str | torch.device = "cpu") -> Iterator[None]:
    """A context in which creating a tensor that does not fit into memory is a clear error.

    Raises:
        CapacityError: a tensor does not fit beside those created before it.
    """
    free = free_memory(device)
    if free is None:
        yield
        return
    with _Building(free, what, advice):
        yield
