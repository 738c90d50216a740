"""Compilation of functions by PyTorch: many small operations are fused into few, which delays the first call."""

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
    """The function, compiled at its first call for the shapes of its arguments, and again for other shapes.

    PyTorch keeps eight compiled versions of a function in a process; a ninth, for example of another model, runs uncompiled with
    a warning.

    Args:
        function: function of tensors, without generators; its compiled results may differ in the last bits.
        device: device of the computation.
        of: name of the model, for error messages.

    Raises:
        FitError: the device is the CPU and there is no C++ compiler; when the result is called: compilation failed.
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
