"""Vector quantization: a vector is replaced by the nearest of k learned ones, and the gradient bypasses this choice.

    c(x) = argmin_k ‖x − e_k‖²,   q(x) = e_c(x);   forward q, backward as if q(x) were x (straight through)
    loss = ‖sg[x] − e_c‖² + β ‖x − sg[e_c]‖²

With moving averages, the first term of the loss, which amounts to k-means by gradient steps, is replaced by closed-form updates:

    N_k ← γ N_k + (1 − γ) n_k,   m_k ← γ m_k + (1 − γ) Σ_{c(x) = k} x,   e_k = m_k / N_k

Each level of a `ResidualQuantizer` quantizes the residual of the level before; a `ProductQuantizer` quantizes each part of the
vector separately. The vector of a code that is hardly used any more is reset to a random vector of the batch.

Source: vandenoord2017, eqs. 1–3 and appendix A.1 (the average); zeghidour2021, algorithm 1 (residual) and section 3.3 (revived
codes, a start from k-means); jegou2011, section 2 (product).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.errors import ConfigError, ShapeError
from foldin.inference import k_means, nearest
from foldin.tensors import Float, Int, Tensor

__all__ = ["ProductQuantizer", "Quantized", "ResidualQuantizer", "VectorQuantizer"]


@dataclass(frozen=True, eq=False)
class Quantized:
    """The result of quantizing n vectors.

    Args:
        values: q(x), with the straight-through gradient.
        codes: index of the nearest codebook vector, for each vector and each level or part.
        loss: term that the quantizer adds to the objective: squared errors, summed over the width, mean over the vectors.
    """

    values: Float[Tensor, "n width"]
    codes: Int[Tensor, "n levels"]
    loss: Float[Tensor, ""]


def _nearest(x: Float[Tensor, "n width"], vectors: Float[Tensor, "codes width"]) -> Int[Tensor, " n"]:
    x, vectors = x.detach(), vectors.detach()
    if x.device.type == "cpu":
        return torch.from_numpy(nearest(x.contiguous().numpy(), vectors.contiguous().numpy())[0])
    # Centered first: far from the origin, rounding of the large products would hide small differences of distances.
    origin = vectors.mean(dim=0)
    vectors, x = vectors - origin, x - origin
    half, step = 0.5 * vectors.square().sum(dim=1), max(1, (1 << 26) // len(vectors))
    parts = [(x[at : at + step] @ vectors.t() - half).argmax(dim=1) for at in range(0, len(x), step)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64, device=x.device)


class VectorQuantizer(nn.Module):
    """A quantizer with a single codebook.

    Args:
        codes: number of codes.
        width: of a vector.
        average: γ of the moving averages; None learns the vectors by gradient.
        commitment: weight β of the commitment term.
        least: a code is dead, and its vector reset, if its average use falls below this share of the use of a code when all are
            used equally often; 0 for no resets.
        generator: source of the initial vectors, on the CPU; `begin` replaces them.
        device: device of the vectors and the computation.

    Raises:
        ConfigError: a setting is out of its range.
    """

    def __init__(
        self,
        codes: int,
        width: int,
        *,
        average: float | None = 0.99,
        commitment: float = 0.25,
        least: float = 0.0,
        generator: torch.Generator,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        if (
            codes < 1
            or width < 1
            or commitment < 0
            or not 0 <= least < 1
            or (average is not None and not 0 < average < 1)
        ):
            raise ConfigError(
                f"codes {codes} and width {width} must be at least 1, commitment {commitment:g} not below 0, "
                f"least {least:g} in [0, 1), average {average} in (0, 1) or None"
            )
        self.codes, self.width = codes, width
        self.average, self.commitment, self.least = average, commitment, least
        start = torch.randn(codes, width, generator=generator).to(device)
        self.vectors = nn.Parameter(start, requires_grad=average is None)
        self.uses: Tensor
        self.sums: Tensor
        self.register_buffer("uses", torch.ones(codes, device=device))
        self.register_buffer("sums", start.clone())

    @torch.no_grad()
    def begin(self, x: Float[Tensor, "n width"], rng: np.random.Generator) -> None:
        """Set the codebook to the k-means centers of x.

        If x has fewer vectors than there are codes, noisy copies of them are added first.

        Raises:
            ShapeError: x is empty or has another width.
        """
        if len(x) == 0 or x.shape[1] != self.width:
            raise ShapeError(f"a codebook of width {self.width} cannot begin with vectors of shape {tuple(x.shape)}")
        data = x.detach().cpu().numpy()
        if len(data) < self.codes:
            noise = 1e-3 * data.std(axis=0) * rng.standard_normal((self.codes, self.width))
            data = np.concatenate((data, (data[rng.integers(len(data), size=self.codes)] + noise).astype(data.dtype)))
        self.vectors.copy_(torch.from_numpy(k_means(data, self.codes, rng)))
        self.uses.fill_(max(1.0, len(x) / self.codes))
        self.sums.copy_(self.vectors * self.uses.unsqueeze(1))

    def forward(self, x: Float[Tensor, "n width"], noise: torch.Generator | None = None) -> Quantized:
        """q(x), its codes and the loss.

        Args:
            noise: generator for a training step: moving averages are updated, and dead codes are reset by draws from it.
                None outside training.

        Raises:
            ShapeError: vectors of another width.
        """
        if x.shape[1] != self.width:
            raise ShapeError(f"the codebook is of width {self.width}, the vectors of {x.shape[1]}")
        codes = _nearest(x, self.vectors)
        chosen = F.embedding(codes, self.vectors)
        count = max(1, len(x))
        loss = self.commitment * (x - chosen.detach()).square().sum() / count
        if self.average is None:
            loss = loss + (x.detach() - chosen).square().sum() / count
        values = x + (chosen - x).detach()
        if noise is not None:
            self._step(x.detach(), codes, noise)
        return Quantized(values, codes.unsqueeze(1), loss)

    def decode(self, codes: Int[Tensor, "n levels"]) -> Float[Tensor, "n width"]:
        """The codebook vectors of codes."""
        return F.embedding(codes[:, 0], self.vectors)

    @torch.no_grad()
    def _step(self, x: Float[Tensor, "n width"], codes: Int[Tensor, " n"], noise: torch.Generator) -> None:
        rate = 0.99 if self.average is None else self.average
        taken = torch.bincount(codes, minlength=self.codes).to(x.dtype)
        self.uses.mul_(rate).add_(taken, alpha=1.0 - rate)
        if self.average is not None:
            self.sums.mul_(rate).index_add_(0, codes, x, alpha=1.0 - rate)
            # A code that was never the nearest keeps its vector.
            self.vectors.copy_(
                torch.where(self.uses.unsqueeze(1) > 1e-8, self.sums / self.uses.unsqueeze(1), self.vectors)
            )
        even = len(x) / self.codes
        dead = (self.uses < self.least * even).nonzero().squeeze(1)
        if len(dead) and len(x):
            order = torch.randperm(len(x), generator=noise, device=x.device)
            self.vectors[dead] = x[order[torch.arange(len(dead), device=x.device) % len(x)]]
            # Its use starts at the even share, so that it has some steps to be chosen before it counts as dead again.
            self.uses[dead] = even
            self.sums[dead] = self.vectors[dead] * self.uses[dead].unsqueeze(1)


class ResidualQuantizer(nn.Module):
    """Levels of codebooks, each for the residual of those before: q(x) = Σ_l e^l, residuals r_0 = x, r_l+1 = r_l − e^l.

    Args:
        levels: codebooks of one width.
    """

    def __init__(self, levels: Sequence[VectorQuantizer]) -> None:
        super().__init__()
        if not levels or any(level.width != levels[0].width for level in levels):
            raise ConfigError("a residual quantizer needs levels of one width")
        self.levels = nn.ModuleList(levels)

    def _each(self) -> list[VectorQuantizer]:
        return [level for level in self.levels if isinstance(level, VectorQuantizer)]

    @torch.no_grad()
    def begin(self, x: Float[Tensor, "n width"], rng: np.random.Generator) -> None:
        """Set the codebooks by k-means, level by level: of x, then of the residuals."""
        for level in self._each():
            level.begin(x, rng)
            x = x - level(x).values

    def forward(self, x: Float[Tensor, "n width"], noise: torch.Generator | None = None) -> Quantized:
        """q(x), the sum of the levels' vectors, with a code for each level; the loss is the sum of theirs."""
        left, total, codes = x, torch.zeros_like(x), []
        loss = x.new_zeros(())
        for level in self._each():
            found = level(left, noise)
            # A level's loss has no gradient for the vectors of earlier levels; straight through bypasses all levels at once.
            chosen = found.values.detach()
            left, total = left - chosen, total + chosen
            codes.append(found.codes)
            loss = loss + found.loss
        return Quantized(x + (total - x).detach(), torch.cat(codes, dim=1), loss)

    def decode(self, codes: Int[Tensor, "n levels"]) -> Float[Tensor, "n width"]:
        """The sums over levels of the codebook vectors of codes."""
        return torch.stack([level.decode(codes[:, at : at + 1]) for at, level in enumerate(self._each())]).sum(dim=0)


class ProductQuantizer(nn.Module):
    """A separate quantizer for each part of the vector; grouped residual quantization if these are residual.

    Args:
        parts: quantizers, whose widths add up to that of the vectors.
    """

    def __init__(self, parts: Sequence["VectorQuantizer | ResidualQuantizer"]) -> None:
        super().__init__()
        if not parts:
            raise ConfigError("a product quantizer needs one part at least")
        self.parts = nn.ModuleList(parts)
        self.widths = [_width(part) for part in parts]
        self.counts = [len(part.levels) if isinstance(part, ResidualQuantizer) else 1 for part in parts]

    def begin(self, x: Float[Tensor, "n width"], rng: np.random.Generator) -> None:
        """Set the codebooks of each part by k-means of its coordinates of x."""
        for part, own in zip(self._each(), x.split(self.widths, dim=1), strict=True):
            part.begin(own, rng)

    def _each(self) -> list["VectorQuantizer | ResidualQuantizer"]:
        return [part for part in self.parts if isinstance(part, VectorQuantizer | ResidualQuantizer)]

    def forward(self, x: Float[Tensor, "n width"], noise: torch.Generator | None = None) -> Quantized:
        """q(x), the parts' results concatenated; the loss is the sum of theirs.

        Raises:
            ShapeError: vectors of another width.
        """
        if x.shape[1] != sum(self.widths):
            raise ShapeError(f"the parts are of width {sum(self.widths)} together, the vectors of {x.shape[1]}")
        found = [part(own, noise) for part, own in zip(self._each(), x.split(self.widths, dim=1), strict=True)]
        return Quantized(
            torch.cat([one.values for one in found], dim=1),
            torch.cat([one.codes for one in found], dim=1),
            torch.stack([one.loss for one in found]).sum(),
        )

    def decode(self, codes: Int[Tensor, "n levels"]) -> Float[Tensor, "n width"]:
        """The vectors of codes, the parts concatenated."""
        own = codes.split(self.counts, dim=1)
        return torch.cat([part.decode(part_codes) for part, part_codes in zip(self._each(), own, strict=True)], dim=1)


def _width(part: "VectorQuantizer | ResidualQuantizer") -> int:
    return part.width if isinstance(part, VectorQuantizer) else part._each()[0].width
