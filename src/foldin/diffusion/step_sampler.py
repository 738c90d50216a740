"""Importance sampling of the steps to train: steps with large losses are drawn more often, and each loss is reweighted.

    p(t) ∝ √(mean of L_t² over the newest losses of t),   mixed with the uniform;   E_p[L_t / (T p(t))] = mean of L_t over t

Until every step has enough losses, all steps are equally likely.

Source: nichol2021, eq. 18 (10 losses a step, .1 % uniform); wang2023, section 3.4.
"""

import numpy as np
import torch

from foldin.tensors import Float, Int, Tensor

__all__ = ["StepSampler"]

_KEPT = 10
_UNIFORM = 1e-3


class StepSampler:
    """Sampler of steps 1 … T in proportion to their recent losses.

    Args:
        steps: number of steps, T.
        device: device of the draws.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.steps, self.device = steps, device
        self.losses = torch.zeros(steps, _KEPT, dtype=torch.float64)
        self.counts = torch.zeros(steps, dtype=torch.int64)  # number of losses so far, of each step

    def chances(self) -> Float[Tensor, " steps"]:
        """Probability p(t) of each step t = 1 … T."""
        even = torch.full((self.steps,), 1.0 / self.steps, dtype=torch.float64)
        if bool((self.counts < _KEPT).any()):
            return even
        size = self.losses.square().mean(dim=1).sqrt()
        total = float(size.sum())
        return even if total == 0 else (1.0 - _UNIFORM) * size / total + _UNIFORM * even

    def draw(self, rows: int, generator: torch.Generator) -> tuple[Int[Tensor, " rows"], Float[Tensor, " rows"]]:
        """(t, weight 1 / (T p(t)) of its loss) for each example."""
        chances = self.chances()
        uniform = torch.rand(rows, generator=generator, device=generator.device).cpu().double()
        at = torch.searchsorted(chances.cumsum(dim=0), uniform, right=True).clamp_(max=self.steps - 1)
        return (at + 1).to(self.device), (1.0 / (self.steps * chances[at])).float().to(self.device)

    def learn(self, t: Int[Tensor, " rows"], losses: Float[Tensor, " rows"]) -> None:
        """Record the loss of each example at its step."""
        at, values = t.cpu().numpy() - 1, losses.detach().double().cpu().numpy()
        order = np.argsort(at, kind="stable")
        at, values = at[order], values[order]
        _, first, counts = np.unique(at, return_index=True, return_counts=True)
        place = np.arange(len(at)) - np.repeat(first, counts)  # index among the new losses of its step
        newest = place >= np.repeat(counts, counts) - _KEPT
        slot = (self.counts.numpy()[at] + place) % _KEPT
        self.losses.numpy()[at[newest], slot[newest]] = values[newest]
        self.counts += torch.from_numpy(np.bincount(at, minlength=self.steps))

    def state(self) -> dict[str, Tensor]:
        """Copies of the recorded losses and their counts, for a checkpoint."""
        return {"losses": self.losses.clone(), "counts": self.counts.clone()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a result of `state`."""
        self.losses.copy_(state["losses"])
        self.counts.copy_(state["counts"])
