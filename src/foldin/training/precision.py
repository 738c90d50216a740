"""The number format of the matrix products of gradient steps: float32, or bfloat16 as PyTorch's autocast uses it.

In bfloat16, the factors of the products of a step's loss are rounded to 8 bits of mantissa, and so are the outputs of the layers
that are such products. Parameters, gradients, the optimizer's state, softmaxes, log-likelihoods and losses stay in float32. So
does all that is no gradient step: full passes, trainings of other models before the first epoch, validation and lists. As
bfloat16 has the range of float32, losses need no scaling.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from foldin.errors import ConfigError
from foldin.training.trainer import GradientPhase, Loss, Phase, Step, Trainer

__all__ = ["PRECISIONS", "check_precision", "with_precision"]

PRECISIONS = ("float32", "bfloat16")


def check_precision(trainer: Trainer[Any], precision: str, device: torch.device, what: str) -> None:
    """Raise an error if a training cannot have a precision.

    Args:
        precision: one of `PRECISIONS`.
        device: device of the model.
        what: name of the model.

    Raises:
        ConfigError: it cannot, or there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision = {precision!r}: one of {', '.join(PRECISIONS)} was expected")
    if precision == "float32":
        return
    refused = f"{what} cannot be trained with precision = {precision}"
    steps = [phase for phase in trainer.phases if isinstance(phase, GradientPhase)]
    if not steps:
        raise ConfigError(f"{refused}: it takes no gradient steps, for whose matrix products it is")
    for phase in steps:
        if phase.needs_float32 is not None:
            raise ConfigError(f"{refused}: {phase.needs_float32}")
    if not torch.amp.autocast_mode.is_autocast_available(device.type):
        raise ConfigError(f"{refused}: PyTorch has no autocast for the device {device}")


def with_precision(phases: Iterable[Phase[Any]], precision: str, device: torch.device) -> tuple[Phase[Any], ...]:
    """The phases, those of gradient steps with losses whose matrix products have a precision."""
    if precision == "float32":
        return tuple(phases)
    return tuple(_in_bfloat16(one, device) if isinstance(one, GradientPhase) else one for one in phases)


def _in_bfloat16(phase: GradientPhase[Any], device: torch.device) -> GradientPhase[Any]:
    """The phase with a loss under autocast; as PyTorch recommends, its gradients are taken outside."""

    def loss(batch: Any, step: Step, generator: torch.Generator) -> Loss:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return phase.loss(batch, step, generator)

    return replace(phase, loss=loss)
