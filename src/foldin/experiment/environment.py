"""What a training depends on besides the code: the device, and versions of packages."""

import platform
from importlib.metadata import version

import torch

from foldin.errors import ConfigError

__all__ = ["choose_device", "versions"]


def choose_device(name: str = "auto") -> torch.device:
    """A device by name; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: torch does not know the name or does not have the device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).cpu()  # devices that only describe tensors fail here
        return torch.device(name)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"device {name!r} is not available: {reason}") from error


def versions() -> dict[str, str]:
    """Versions of Python and of the packages on which results depend, by name."""
    packages = ("foldin", "torch", "numpy", "polars")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
