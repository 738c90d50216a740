"""Which step of a diffusion to train next: the steps whose losses are large more often, each loss divided by its chance.

    p(t) ∝ √(mean of the newest losses of t, squared),   mixed with the uniform;   E_p[L_t / (T p(t))] = mean of L_t over t

Until every step has enough losses, all are as likely.

Source: nichol2021, eq. 18 (10 losses a step, .1 % uniform); wang2023, section 3.4.
"""

import numpy as np
import torch

from foldin.tensors import Float, Int, Tensor

__all__ = ["StepSampler"]

_KEPT = 10
_UNIFORM = 1e-3


class StepSampler:
    """Draws steps 1 … T.

    Args:
        steps: T.
        device: where the draws are.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.steps, self.device = steps, device
        self.losses = torch.zeros(steps, _KEPT, dtype=torch.float64)
        self.counts = torch.zeros(steps, dtype=torch.int64)  # of all losses ever seen

    def chances(self) -> Float[Tensor, " steps"]:
        """p(t) for t = 1 … T."""
        even = torch.full((self.steps,), 1.0 / self.steps, dtype=torch.float64)
        if bool((self.counts < _KEPT).any()):
            return even
        size = self.losses.square().mean(dim=1).sqrt()
        total = float(size.sum())
        return even if total == 0 else (1.0 - _UNIFORM) * size / total + _UNIFORM * even

    def draw(self, rows: int, generator: torch.Generator) -> tuple[Int[Tensor, " rows"], Float[Tensor, " rows"]]:
        """(t, 1 / (T p(t))) of each row."""
        chances = self.chances()
        uniform = torch.rand(rows, generator=generator, device=generator.device).cpu().double()
        at = torch.searchsorted(chances.cumsum(dim=0), uniform, right=True).clamp_(max=self.steps - 1)
        return (at + 1).to(self.device), (1.0 / (self.steps * chances[at])).float().to(self.device)

    def learn(self, t: Int[Tensor, " rows"], losses: Float[Tensor, " rows"]) -> None:
        """Take in the loss of each row at its step."""
        at, values = t.cpu().numpy() - 1, losses.detach().double().cpu().numpy()
        order = np.argsort(at, kind="stable")
        at, values = at[order], values[order]
        _, first, counts = np.unique(at, return_index=True, return_counts=True)
        place = np.arange(len(at)) - np.repeat(first, counts)  # among those of its step
        newest = place >= np.repeat(counts, counts) - _KEPT
        slot = (self.counts.numpy()[at] + place) % _KEPT
        self.losses.numpy()[at[newest], slot[newest]] = values[newest]
        self.counts += torch.from_numpy(np.bincount(at, minlength=self.steps))

    def state(self) -> dict[str, Tensor]:
        """Copies of what it remembers."""
        return {"losses": self.losses.clone(), "counts": self.counts.clone()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.losses.copy_(state["losses"])
        self.counts.copy_(state["counts"])
