"""A function through PyTorch's compiler: many small operations become few, at the price of a wait before the first call."""

import os
import shutil
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from foldin.errors import FitError

__all__ = ["compiled"]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], *, device: torch.device, of: str) -> Callable[P, R]:
    """The same function, compiled at its first call for the shapes it is called with, and again for other shapes.

    PyTorch keeps eight versions of one function in a process; a ninth, of another model say, runs as it is, with a warning.

    Args:
        function: of tensors, without generators; its results may differ in the last bits.
        device: where it computes.
        of: whose it is, for messages.

    Raises:
        FitError: the processor is to compute and there is no C++ compiler; when called: it could not be compiled.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise FitError(
            f"{of}: compiled: there is no C++ compiler {compiler!r} here; install one or leave the setting out"
        )
    inner = torch.compile(function, dynamic=False)

    def run(*args: P.args, **named: P.kwargs) -> R:
        try:
            return inner(*args, **named)
        except RuntimeError as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise FitError(f"{of}: compiled: PyTorch's compiler failed: {error}") from error
            raise

    return run
