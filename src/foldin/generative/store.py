"""Models in single files: safetensors with the tensors, the model's name and settings, and the shape of an example."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from foldin.errors import ConfigError, FoldinError, RunError
from foldin.files import read_tensors, write_tensors
from foldin.generative.code_prior import CodePrior
from foldin.generative.diffusion import Diffusion
from foldin.generative.vae import VAE
from foldin.generative.vqvae import VQVAE

__all__ = ["ALL", "load_model", "save_model"]

_VERSION = 2  # of the description stored with the tensors; in version 1, settings had other names
Kept = VAE | VQVAE | CodePrior | Diffusion

# The models that can be kept in a file, by name; each is made from a shape, settings and a device.
ALL: Mapping[str, type[Kept]] = MappingProxyType(
    {"vae": VAE, "vqvae": VQVAE, "code-prior": CodePrior, "diffusion": Diffusion}
)


def save_model(path: str | Path, model: Kept) -> None:
    """Write a model to a file, atomically.

    Raises:
        ConfigError: the model is not one of `ALL`.
    """
    name = next((name for name, kind in ALL.items() if type(model) is kind), None)
    if name is None:
        raise ConfigError(f"{type(model).__name__} cannot be kept in a file; there are {', '.join(ALL)}")
    about: dict[str, Any] = {
        "model": name,
        "version": _VERSION,
        "shape": list(model.shape),
        "config": model.config.as_dict(),
    }
    write_tensors(Path(path), model.tensors(), about)


def load_model(path: str | Path, *, device: str | torch.device = "cpu") -> Kept:
    """The saved model, with the same bits.

    Raises:
        RunError: the file is missing, damaged, of another kind of model, or of another version; the message says which.
    """
    tensors, about = read_tensors(Path(path))
    name, shape, config = (about.get(key) for key in ("model", "shape", "config"))
    if not isinstance(name, str) or name not in ALL or not isinstance(shape, list) or not isinstance(config, dict):
        raise RunError(f"{path}: holds {name!r}; the models kept in one file are {', '.join(ALL)}")
    if not all(isinstance(side, int) for side in shape):
        raise RunError(f"{path}: damaged: the shape of an example is {shape}")
    if (version := about.get("version", 1)) != _VERSION:
        raise RunError(
            f"{path}: written in version {version} of these files, this foldin reads version {_VERSION}; train it anew"
        )
    kind: Any = ALL[name]
    try:
        model = kind(tuple(shape), kind.Config.from_dict(config), device=device)
        model.load_state(tensors)
    except FoldinError as error:
        raise RunError(f"{path}: what is stored with the model cannot be used: {error}") from error
    return model
