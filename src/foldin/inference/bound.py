"""A lower bound on a log-probability, by its terms."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from foldin.tensors import Float, Tensor

__all__ = ["Bound"]


@dataclass(frozen=True, eq=False)
class Bound:
    """Terms whose sum bounds a log-probability from below, of each row in nats.

    Args:
        of: what is bounded, as a formula and in words: bounds of different quantities do not compare.
        terms: by name; a KL divergence enters with its minus sign.
    """

    of: str
    terms: Mapping[str, Float[Tensor, " rows"]]

    @property
    def value(self) -> Float[Tensor, " rows"]:
        """The bound: the sum of its terms."""
        return torch.stack(list(self.terms.values())).sum(dim=0)

    @classmethod
    def of_blocks(cls, blocks: "list[Bound]") -> "Bound":
        """The bounds of blocks of rows, one after the other."""
        return cls(blocks[0].of, {name: torch.cat([one.terms[name] for one in blocks]) for name in blocks[0].terms})
