"""Likelihoods p(x | z), independent over the values of x, with the decoder's output as their parameters.

Values are whole numbers 0–255 of type uint8 (pictures), or floating-point numbers. The likelihoods, and the decoder's outputs for
each value of x:

    bernoulli    1 output: the logit. Whole numbers are binarized at 128; floats in [0, 1] are used as targets
                 (dynamic-bernoulli: the same, but a training step draws 1 with probability x / 255, or with that of the float)
    gaussian     2 outputs: the logit of the mean, the log variance. Whole numbers are divided by 255; floats lie around [0, 1]
    categorical  256 outputs: logits of the levels. Whole numbers only
    logistic     2 outputs: location and log scale of a logistic, integrated over each level's bin. Whole numbers only

The Gaussian is a density, for whole numbers that of x / 255. Adding `offset` per value gives the density of x on the scale 0–255,
which can be compared in bits with the discrete likelihoods.

Source: kingma2014, appendix C (bernoulli, gaussian); kingma2016 and salimans2017, section 2.1 (logistic).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from foldin.data import Examples
from foldin.errors import DataError, ShapeError
from foldin.tensors import Float, Float32, Shaped, Tensor
from foldin.training import Option

__all__ = [
    "Bernoulli",
    "Categorical",
    "DynamicBernoulli",
    "Gaussian",
    "Likelihood",
    "Logistic",
    "binarize",
    "bits_per_value",
]

_LEVELS = 256
_LOG_2_PI = math.log(2 * math.pi)


class Likelihood(Option, ABC):
    """Base class of p(x | decoder's output), independent over values.

    A subclass sets `outputs`, the number of decoder outputs for each value of x, and `name`.
    """

    outputs: ClassVar[int]
    offset: ClassVar[float] = 0.0  # nats to add per value, so that the density of x / 255 becomes that of x, 0–255

    def check(self, values: Shaped[Tensor, "rows *shape"]) -> None:
        """Raise an error if the likelihood is not defined for these values.

        Raises:
            DataError: the values have another type or range; the message says which is expected.
        """
        if values.dtype != torch.uint8:
            raise DataError(f"{self.name}: whole numbers 0–255 of type uint8 were expected, not {values.dtype}")

    def check_training(self, values: Shaped[Tensor, "rows *shape"]) -> None:
        """Raise an error if a model cannot be trained on these values.

        Raises:
            DataError: as for `check`, or their mean is out of the range that a decoder can output.
        """
        self.check(values)

    def encoded(self, values: Shaped[Tensor, "rows *shape"]) -> Float32[Tensor, "rows *shape"]:
        """The input of an encoder: whole numbers divided by 255, floats as they are."""
        return values.float().div_(255.0) if values.dtype == torch.uint8 else values.float()

    def training_batch(self, data: Examples, generator: torch.Generator) -> Examples:
        """The examples as a training step reads them."""
        return data

    def log_prob(
        self, outputs: Float[Tensor, "rows outputs *shape"], values: Shaped[Tensor, "rows *shape"]
    ) -> Float[Tensor, " rows"]:
        """log p(x | outputs) of each example, in nats, summed over its values.

        Raises:
            ShapeError: the decoder did not give `outputs` numbers for each value.
        """
        expected = (len(values), self.outputs, *values.shape[1:])
        if outputs.shape != expected:
            raise ShapeError(f"{self.name}: a decoder's output {expected} was expected, not {tuple(outputs.shape)}")
        return self._terms(outputs, values).flatten(1).sum(dim=1)

    @abstractmethod
    def _terms(
        self, outputs: Float[Tensor, "rows outputs *shape"], values: Shaped[Tensor, "rows *shape"]
    ) -> Float[Tensor, "rows *shape"]:
        """log p of each value, in nats."""

    @abstractmethod
    def mean(self, outputs: Float[Tensor, "rows outputs *shape"]) -> Float[Tensor, "rows *shape"]:
        """E[x] of each value, on the scale of the encoder's input, [0, 1]."""

    @abstractmethod
    def sample(
        self, outputs: Float[Tensor, "rows outputs *shape"], generator: torch.Generator
    ) -> Shaped[Tensor, "rows *shape"]:
        """A draw of each example, as `log_prob` takes it: uint8 levels, or floats on the scale of the encoder's input."""


def binarize(data: Examples, generator: torch.Generator) -> Examples:
    """Black and white pictures: a value x of 0–255 is 1 with probability x / 255, a float in [0, 1] with that probability.

    Args:
        data: pictures of uint8, or of floats in [0, 1].
        generator: source of the draws; the result is on its device.

    Source: salakhutdinov2008, section 4; burda2016, section 5.
    """
    values = data.values.to(generator.device)
    white = values.float() / 255.0 if values.dtype == torch.uint8 else values
    return Examples(torch.bernoulli(white, generator=generator))


@dataclass(frozen=True, kw_only=True)
class Bernoulli(Likelihood):
    """Black or white values, with whole numbers binarized at 128.

    The log-likelihood of a float in [0, 1] is the expected one of a value that is white with that probability.
    """

    name = "bernoulli"
    outputs = 1

    def check(self, values: Shaped[Tensor, "rows *shape"]) -> None:
        if values.dtype != torch.uint8 and not bool(((values >= 0) & (values <= 1)).all()):
            raise DataError("bernoulli: floats in [0, 1] were expected, or whole numbers 0–255 of type uint8")

    def encoded(self, values: Shaped[Tensor, "rows *shape"]) -> Float32[Tensor, "rows *shape"]:
        return (values >> 7).float() if values.dtype == torch.uint8 else values.float()  # 1 from 128 on; faster than ≥

    def _terms(self, outputs: Tensor, values: Tensor) -> Tensor:
        logits, x = outputs[:, 0], self.encoded(values)
        return -F.binary_cross_entropy_with_logits(logits, x.to(logits.dtype), reduction="none")

    def mean(self, outputs: Float[Tensor, "rows outputs *shape"]) -> Float[Tensor, "rows *shape"]:
        return outputs[:, 0].sigmoid()

    def sample(
        self, outputs: Float[Tensor, "rows outputs *shape"], generator: torch.Generator
    ) -> Float[Tensor, "rows *shape"]:
        return torch.bernoulli(self.mean(outputs), generator=generator)


@dataclass(frozen=True, kw_only=True)
class DynamicBernoulli(Bernoulli):
    """Black or white values, drawn anew each time that a training step reads them.

    To evaluate a model with this likelihood, draw the values once with `binarize`.

    Source: burda2016, section 5.
    """

    name = "dynamic-bernoulli"

    def training_batch(self, data: Examples, generator: torch.Generator) -> Examples:
        return binarize(data, generator)


@dataclass(frozen=True, kw_only=True)
class Gaussian(Likelihood):
    """A Gaussian with a mean in (0, 1) and a variance for each value.

    σ² = (1/255)² + exp(raw) is never below one gray level squared. Without that floor the density would grow without bound on
    values that are constant over the data, such as a black border.
    """

    name = "gaussian"
    outputs = 2
    offset = -math.log(255.0)
    _FLOOR = -2.0 * math.log(255.0)

    def check(self, values: Shaped[Tensor, "rows *shape"]) -> None:
        if values.dtype != torch.uint8 and not (values.is_floating_point() and bool(values.isfinite().all())):
            raise DataError("gaussian: finite floats were expected, or whole numbers 0–255 of type uint8")

    def check_training(self, values: Shaped[Tensor, "rows *shape"]) -> None:
        super().check_training(values)
        if values.dtype == torch.uint8:
            return
        mean = float(values.mean(dtype=torch.float64))
        if not 0.0 <= mean <= 1.0:
            raise DataError(
                f"gaussian: means are between 0 and 1, and these values have {mean:.4g} on average: scale them"
            )

    def _moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log σ²) of each value."""
        raw = outputs[:, 1]
        return outputs[:, 0].sigmoid(), torch.logaddexp(raw, torch.full_like(raw, self._FLOOR))

    def _terms(self, outputs: Tensor, values: Tensor) -> Tensor:
        mean, logvar = self._moments(outputs)
        return -0.5 * (_LOG_2_PI + logvar + (self.encoded(values) - mean).square() * torch.exp(-logvar))

    def mean(self, outputs: Float[Tensor, "rows outputs *shape"]) -> Float[Tensor, "rows *shape"]:
        return outputs[:, 0].sigmoid()

    def sample(
        self, outputs: Float[Tensor, "rows outputs *shape"], generator: torch.Generator
    ) -> Float[Tensor, "rows *shape"]:
        mean, logvar = self._moments(outputs)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + torch.exp(0.5 * logvar) * noise


@dataclass(frozen=True, kw_only=True)
class Categorical(Likelihood):
    """A categorical distribution over the 256 levels."""

    name = "categorical"
    outputs = _LEVELS

    def _terms(self, outputs: Tensor, values: Tensor) -> Tensor:
        return -F.cross_entropy(outputs, values.long(), reduction="none")

    def mean(self, outputs: Float[Tensor, "rows outputs *shape"]) -> Float[Tensor, "rows *shape"]:
        levels = torch.linspace(0.0, 1.0, _LEVELS, device=outputs.device, dtype=outputs.dtype)
        return torch.tensordot(outputs.softmax(dim=1), levels, dims=([1], [0]))

    def sample(
        self, outputs: Float[Tensor, "rows outputs *shape"], generator: torch.Generator
    ) -> Shaped[Tensor, "rows *shape"]:
        shares = outputs.softmax(dim=1).movedim(1, -1)
        drawn = torch.multinomial(shares.flatten(0, -2), 1, generator=generator)
        return drawn.view(shares.shape[:-1]).to(torch.uint8)


@dataclass(frozen=True, kw_only=True)
class Logistic(Likelihood):
    """A logistic, integrated over the bin of each of the 256 levels.

    Location m and scale s are those of x scaled to [−1, 1], where a bin has the width 2/255. With a, b = (x ± 1/255 − m)/s:

        p = σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)),

    with the outermost bins extending to ±∞, where σ(b) is 0 or σ(a) is 1. The product avoids differences of nearly equal numbers,
    so it stays accurate in the tails.
    """

    name = "logistic"
    outputs = 2
    _HALF = 1.0 / (_LEVELS - 1)

    def _location_scale(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """(m, log s) of each value, with log s clipped: a scale far below a bin's width would have no gradient."""
        return outputs[:, 0], outputs[:, 1].clamp(-7.0, 7.0)

    def _terms(self, outputs: Tensor, values: Tensor) -> Tensor:
        location, log_scale = self._location_scale(outputs)
        sharpness = torch.exp(-log_scale)
        away = values.to(outputs.dtype) * (2.0 * self._HALF) - 1.0 - location
        above, below = (away + self._HALF) * sharpness, (away - self._HALF) * sharpness
        lowest, highest = values == 0, values == _LEVELS - 1
        width = torch.log(-torch.expm1(-2.0 * self._HALF * sharpness))
        return (
            F.logsigmoid(above).masked_fill(highest, 0.0)
            + F.logsigmoid(-below).masked_fill(lowest, 0.0)
            + width.masked_fill(lowest | highest, 0.0)
        )

    def mean(self, outputs: Float[Tensor, "rows outputs *shape"]) -> Float[Tensor, "rows *shape"]:
        location, log_scale = self._location_scale(outputs)
        sharpness, total = torch.exp(-log_scale), torch.zeros_like(location)
        for level in range(1, _LEVELS):  # E[x] = Σ_k p(x ≥ k)
            total += torch.sigmoid((location - ((2 * level - 1) * self._HALF - 1.0)) * sharpness)
        return total.div_(_LEVELS - 1)

    def sample(
        self, outputs: Float[Tensor, "rows outputs *shape"], generator: torch.Generator
    ) -> Shaped[Tensor, "rows *shape"]:
        location, log_scale = self._location_scale(outputs)
        uniform = torch.rand(location.shape, generator=generator, device=location.device, dtype=location.dtype)
        drawn = location + torch.exp(log_scale) * torch.logit(uniform)
        return ((drawn + 1.0) / (2.0 * self._HALF)).round().clamp(0, _LEVELS - 1).to(torch.uint8)


def bits_per_value(nats_per_row: float, values_per_row: int) -> float:
    """Bits per value ("bits per dimension"), from the log-probability of an example in nats.

    For a density, first add `values_per_row · offset` to the nats.
    """
    return -nats_per_row / (values_per_row * math.log(2.0))
