"""A linear map of the users' features, as further inputs of a model that reads histories.

    x_u = e_u h_u + Uᵀ g_u,   e_u ~ Bernoulli(1 − p) in training, e_u = 1 afterwards

h_u is what the events of a user give the layer, and g_u the features of the user. Leaving out the events at random makes U
predict the layer on its own, as it must for users without events.

Source: volkovs2017 (dropout of the part from events, so that the content learns to stand in for it).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories
from foldin.errors import FitError, ShapeError
from foldin.tensors import Float, Tensor
from foldin.training import Option, Range, setting
from foldin.transfers import sent

__all__ = ["UserFeatures", "UserMap"]


@dataclass(frozen=True, kw_only=True)
class UserFeatures(Option):
    """Features of the users are further inputs; histories must have them (`with_user_features`)."""

    name = "inputs"
    dropout: float = setting(
        0.5,
        "Probability that a user's events are left out of the inputs of a training step.",
        low=0,
        below=1,
        range=Range(0.0, 0.9),
    )


class UserMap:
    """U, a linear map of the users' features.

    Args:
        width: width of the layer that it adds to.
        option: its settings.
        what: name of the model, for messages.
        device: device of the tensors.
    """

    def __init__(self, width: int, option: UserFeatures, what: str, device: torch.device) -> None:
        self.option, self.what = option, what
        self.map = nn.Parameter(torch.zeros(0, width, device=device))  # from which the events lead away

    def tensors(self) -> dict[str, nn.Parameter]:
        """The tensors by name."""
        return {"user_features.map": self.map}

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Take the number of columns of a stored model, so that its tensors can be copied."""
        stored = state.get("user_features.map")
        if stored is not None and stored.shape[1:] == self.map.shape[1:]:
            self._widen(len(stored))

    def take(self, train: Histories) -> None:
        """Take the number of columns of the features of the training users.

        Raises:
            FitError: they have no features.
        """
        if train.user_features is None:
            raise FitError(
                f"{self.what} learns from features of the users, and the training users have none; see with_user_features"
            )
        self._widen(train.user_features.shape[1])

    def _widen(self, columns: int) -> None:
        if len(self.map) != columns:
            self.map = nn.Parameter(torch.zeros(columns, self.map.shape[1], device=self.map.device))

    def rows(self, histories: Histories) -> Float[Tensor, "users width"]:
        """Uᵀ g_u of each user.

        Raises:
            ShapeError: the users have no features, or another number of columns.
        """
        features = histories.user_features
        if features is None:
            raise ShapeError(
                f"{self.what} reads features of the users, and these histories have none; it can only be asked from Python, "
                "for histories with user_features"
            )
        if features.shape[1] != len(self.map):
            raise ShapeError(
                f"{self.what} reads {len(self.map):,} columns of features of the users, and these histories have "
                f"{features.shape[1]:,}"
            )
        if features.nnz == 0:
            return torch.zeros(len(histories), self.map.shape[1], device=self.map.device)
        columns, offsets = (sent(one.astype(np.int64), self.map.device) for one in (features.indices, features.indptr))
        return F.embedding_bag(
            columns,
            self.map,
            offsets,
            mode="sum",
            per_sample_weights=sent(features.data, self.map.device),
            include_last_offset=True,
        )

    def kept(self, users: int, generator: torch.Generator) -> Float[Tensor, " users"]:
        """e_u, 1 for each user whose events take part in a training step and 0 for the others."""
        drawn = torch.rand(users, generator=generator, device=self.map.device)
        return (drawn >= self.option.dropout).to(self.map.dtype)
