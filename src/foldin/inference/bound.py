"""A lower bound on a log-probability, split into its terms."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from foldin.tensors import Float, Tensor

__all__ = ["Bound"]


@dataclass(frozen=True, eq=False)
class Bound:
    """A lower bound on a log-probability of each row, as a sum of terms in nats.

    Args:
        of: the bounded quantity, as a formula and in words; bounds of different quantities must not be compared.
        terms: the terms by name; a KL divergence enters with a minus sign.
    """

    of: str
    terms: Mapping[str, Float[Tensor, " rows"]]

    @property
    def value(self) -> Float[Tensor, " rows"]:
        """The bound of each row in nats: the sum of its terms."""
        return torch.stack(list(self.terms.values())).sum(dim=0)

    @classmethod
    def of_blocks(cls, blocks: "list[Bound]") -> "Bound":
        """The bounds of consecutive blocks of rows, concatenated."""
        return cls(blocks[0].of, {name: torch.cat([one.terms[name] for one in blocks]) for name in blocks[0].terms})
