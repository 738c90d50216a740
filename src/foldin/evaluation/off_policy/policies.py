"""Models with rankers as policies: the probabilities of logged items under another model, ranker or temperature."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foldin.data import Histories, count_of
from foldin.errors import ConfigError, ShapeError
from foldin.evaluation.off_policy.feedback import LoggedFeedback, PropensityOf
from foldin.evaluation.off_policy.plackett_luce import draw_probabilities, place_probabilities
from foldin.evaluation.off_policy.support import check_support
from foldin.models import Recommender
from foldin.ranking import Eligibility, Gumbel, Ranker, masked_logits, rank
from foldin.tensors import Array, Bool, Float64, Int64

__all__ = ["Policy", "policy_of"]


@dataclass(frozen=True, eq=False)
class Policy:
    """A model and a ranker whose probability of any list is known: `Gumbel`, or a ranker that draws nothing.

    Args:
        model: the model.
        ranker: the ranker of its scores.

    Raises:
        ConfigError: the model lacks what the ranker needs, or the ranker draws lists whose probabilities are only estimated.
    """

    model: Recommender[Any]
    ranker: Ranker

    def __post_init__(self) -> None:
        if self.ranker.random and not isinstance(self.ranker, Gumbel):
            raise ConfigError(
                f"{type(self.ranker).__name__} has no exact probabilities of lists: the policies to compare draw with Gumbel, or "
                "list without chance"
            )
        self.ranker.check(self.model)

    @torch.no_grad()
    def probabilities(
        self,
        feedback: LoggedFeedback,
        histories: Histories,
        *,
        eligible: Eligibility | None = None,
        propensity_of: PropensityOf | None = None,
    ) -> Float64[Array, "lists k"]:
        """Probability of each logged item under this policy; 1 in empty places.

        Of a ranker without chance it is 1 where the policy would list the logged item (at that place, or for `IN_LIST` anywhere),
        and 0 elsewhere.

        Args:
            histories: the history of each context, as it was when the lists were drawn, over the items of this model.
            eligible: items that this policy may list in each context; all items that are not in the history if None.
            propensity_of: the event; that of the log if None. With `AT_PLACE` and the logging policy, this gives the propensities
                of a log of `Gumbel` for estimates that assume more (`dataclasses.replace`).

        Raises:
            ShapeError: histories or eligible items of fewer contexts than the log has, or of another catalog.
            SupportError: this policy may list items that the logging policy never lists, if `feedback.possible` is known.
        """
        of = feedback.propensity_of if propensity_of is None else propensity_of
        eligible = self._eligible(histories, eligible)
        self._check(feedback, histories)
        found, k = np.ones(feedback.items.shape), feedback.items.shape[1]
        contexts = np.unique(feedback.contexts)
        step = self.ranker.block(self.model, k)
        for start in range(0, len(contexts), step):
            chosen = contexts[start : start + step]
            lists = np.flatnonzero((feedback.contexts >= chosen[0]) & (feedback.contexts <= chosen[-1]))
            rows = np.searchsorted(chosen, feedback.contexts[lists])
            part, allowed = histories.select(chosen), eligible.select(chosen)
            if isinstance(self.ranker, Gumbel):
                log_weights = self._log_weights(self.ranker, part, allowed)
                possible = np.isfinite(log_weights)
                of_lists = _drawn(log_weights, rows, feedback.items[lists], of)
            else:
                own = rank(self.model, part, k, ranker=self.ranker, eligible=allowed).items
                possible = _marked(own, self.model.n_items)
                of_lists = _listed(own[rows], feedback.items[lists], of)
            if feedback.possible is not None:
                check_support(possible, feedback.possible[chosen], contexts=chosen)
            found[lists] = np.where(feedback.items[lists] >= 0, of_lists, 1.0)
        return found

    @torch.no_grad()
    def possible(
        self, histories: Histories, k: int, *, eligible: Eligibility | None = None
    ) -> Bool[Array, "contexts items"]:
        """Whether an item is in any list of k items of this policy, in each context: what `LoggedFeedback.possible` holds.

        Raises:
            ShapeError: histories or eligible items of another catalog.
        """
        eligible = self._eligible(histories, eligible)
        k = min(count_of(k, "k"), self.model.n_items)
        found = np.zeros((len(histories), self.model.n_items), dtype=bool)
        step = self.ranker.block(self.model, k)
        for start in range(0, len(histories), step):
            rows = slice(start, min(start + step, len(histories)))
            part, allowed = histories.rows(rows.start, rows.stop), eligible.rows(rows.start, rows.stop)
            if isinstance(self.ranker, Gumbel):
                found[rows] = np.isfinite(self._log_weights(self.ranker, part, allowed))
            else:
                found[rows] = _marked(
                    rank(self.model, part, k, ranker=self.ranker, eligible=allowed).items, self.model.n_items
                )
        return found

    def _log_weights(self, ranker: Gumbel, part: Histories, allowed: Eligibility) -> Float64[Array, "contexts items"]:
        """Logarithms of the weights by which the ranker draws, −∞ for items that it never draws."""
        logits = masked_logits(self.model, part, allowed)
        log_weights: Float64[Array, "contexts items"] = torch.log_softmax(logits.double(), dim=1).cpu().numpy()
        return log_weights / ranker.temperature

    def _eligible(self, histories: Histories, eligible: Eligibility | None) -> Eligibility:
        self.model.check_histories(histories)
        eligible = Eligibility.of(histories) if eligible is None else eligible
        if len(eligible) != len(histories) or eligible.n_items != self.model.n_items:
            raise ShapeError(
                f"the eligible items are those of {len(eligible):,} contexts over {eligible.n_items:,} items, the histories of "
                f"{len(histories):,} over {self.model.n_items:,}"
            )
        return eligible

    def _check(self, feedback: LoggedFeedback, histories: Histories) -> None:
        if feedback.contexts.max() >= len(histories) or feedback.items.max() >= self.model.n_items:
            raise ShapeError(
                f"the log has contexts to {feedback.contexts.max()} and items to {feedback.items.max()}, but there are histories "
                f"of {len(histories):,} contexts over {self.model.n_items:,} items"
            )
        if feedback.possible is not None and feedback.possible.shape[1] != self.model.n_items:
            raise ShapeError(f"possible: {feedback.possible.shape[1]:,} items, the model has {self.model.n_items:,}")


def policy_of(model: Recommender[Any], ranker: Ranker) -> Policy:
    """The policy that lists by a model and a ranker, whose probability of a logged item is known.

    Raises:
        ConfigError: as `Policy`.
    """
    return Policy(model, ranker)


def _drawn(
    log_weights: Float64[Array, "contexts items"],
    rows: Int64[Array, " lists"],
    items: Int64[Array, "lists k"],
    of: PropensityOf,
) -> Float64[Array, "lists k"]:
    """Probabilities of logged items by Plackett–Luce; any number in empty places."""
    found, k = np.ones(items.shape), items.shape[1]
    for row, own, into in zip(rows, items, found, strict=True):
        listed = np.flatnonzero(own >= 0)
        if of is PropensityOf.GIVEN_ABOVE:
            into[listed] = draw_probabilities(log_weights[row], own[listed])
            continue
        of_places = place_probabilities(log_weights[row], own[listed], k)
        into[listed] = (
            of_places.sum(axis=1) if of is PropensityOf.IN_LIST else of_places[np.arange(len(listed)), listed]
        )
    return found


def _listed(
    own: Int64[Array, "lists k"], items: Int64[Array, "lists k"], of: PropensityOf
) -> Float64[Array, "lists k"]:
    """1 where a policy without chance lists the logged item, and 0 elsewhere."""
    width = min(own.shape[1], items.shape[1])  # a catalog may be smaller than k
    found = np.zeros(items.shape)
    if of is PropensityOf.IN_LIST:
        return (items[:, :, None] == own[:, None, :]).any(axis=2).astype(np.float64)
    found[:, :width] = items[:, :width] == own[:, :width]
    return found


def _marked(own: Int64[Array, "contexts k"], n_items: int) -> Bool[Array, "contexts items"]:
    """Whether an item is in the list of a context."""
    marks = np.zeros((len(own), n_items + 1), dtype=bool)  # the last column stands for the empty place, −1
    np.put_along_axis(marks, own, True, axis=1)
    return marks[:, :-1]
