"""A distribution over the catalog to draw negatives from, in time that hardly grows with the catalog."""

import torch

from foldin.tensors import Float, Float64, Int, Tensor

__all__ = ["Proposal"]


class Proposal:
    """Draws from shares q of the items, one from each of n equal strata of [0, 1), which are mapped to items by the inverse
    of the cumulative shares.

    An item is expected n q times among n draws, as among independent draws, but its number varies less: it is n q rounded up or
    down, or one further. With equal shares, n draws from n items are all items.

    Args:
        weights: positive numbers in proportion to the shares.
    """

    def __init__(self, weights: Float64[Tensor, " items"]) -> None:
        cumulative = torch.cumsum(weights, 0)
        self.cumulative = cumulative / cumulative[-1]

    def draw(self, n: int, generator: torch.Generator) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
        """(items in ascending order, log of the expected number of each among the n draws)."""
        device = self.cumulative.device
        within = torch.rand(n, generator=generator, dtype=torch.float64, device=device)
        at = (torch.arange(n, dtype=torch.float64, device=device) + within) / n
        items = torch.searchsorted(self.cumulative, at, right=True).clamp(max=len(self.cumulative) - 1)
        before = torch.where(items > 0, self.cumulative[items - 1], 0.0)
        return items, (n * (self.cumulative[items] - before)).log().float()
