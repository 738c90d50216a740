"""What a model finds of the items that users take again, and of those that are new to them.

The two are different tasks: most models that are good at the first are poor at the second, and a mean over both hides which of
them a figure comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foldin.data import HeldOut
from foldin.display import Display, Displayed, estimate
from foldin.evaluation.evaluate import Evaluation, evaluate
from foldin.models import Recommender
from foldin.ranking import Eligibility, Ranker, rank

__all__ = ["REPEAT_METRICS", "RepeatEvaluation", "evaluate_repeats"]

REPEAT_METRICS = ("recall_all@10", "ndcg@10")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RepeatEvaluation(Displayed):
    """The figures of one model, split by the targets.

    Args:
        repeated: evaluation of the targets that are items of the user's history, on the users who have any; None if nobody has.
        new: the same of the other targets.
        target_share: share of the targets that are items of the history.
        listed_share: share of the listed items that are items of the history.
        k: length of the lists of `listed_share`.
    """

    repeated: Evaluation | None
    new: Evaluation | None
    target_share: float
    listed_share: float
    k: int

    def display(self) -> Display:
        names = next(one.metrics for one in (self.repeated, self.new) if one is not None)
        parts = [("repeated", self.repeated), ("new", self.new)]
        rows = [
            (f"{name}, {part} targets", *estimate(found.summary()[name], 4))
            for name in names
            for part, found in parts
            if found is not None
        ]
        rows.append(("share of repeats among the targets", f"{self.target_share:.1%}", ""))
        rows.append((f"share of repeats among the first {self.k} listed", f"{self.listed_share:.1%}", ""))
        users = ", ".join(f"{found.per_user.height:,} users with {part} targets" for part, found in parts if found)
        return Display(title=f"Repeats: {users}", head=("", "mean", "95 % interval"), rows=rows)

    def as_dict(self) -> dict[str, Any]:
        """All figures as JSON; intervals are those of `Evaluation.summary`."""
        return {
            "repeated": None if self.repeated is None else self.repeated.summary(),
            "new": None if self.new is None else self.new.summary(),
            "target_share": self.target_share,
            "listed_share": self.listed_share,
            "k": self.k,
        }


@torch.no_grad()
def evaluate_repeats(
    model: Recommender[Any],
    held: HeldOut,
    *,
    metrics: Sequence[str] = REPEAT_METRICS,
    k: int = 10,
    ranker: Ranker | None = None,
) -> RepeatEvaluation:
    """Evaluate a model on repeated and on new targets apart; the lists are the same for both.

    `recall_all@k` of the repeated targets is the repeat recall, and that of the new ones the explore recall. A user counts in
    each part only with a target of it. The log-likelihood of each part is that of its items among all that may be listed, so
    that the mean of both, weighted by targets, is that of the whole.

    Args:
        metrics: names of ranking metrics.
        k: length of the lists in which repeats are counted.
        ranker: ranker of the lists; `Exact` if None.

    Source: li2023 (the two recalls, and the share of repeats in lists).

    Raises:
        ConfigError: an unknown metric, or a model that lacks what the ranker needs.
        ShapeError: no user has a target.
    """
    chosen = np.flatnonzero(held.targets.lengths)
    whole = HeldOut(
        fold_in=held.fold_in.select(chosen),
        targets=held.targets.select(chosen),
        users=held.users.gather(chosen),
        seen=held.seen.select(chosen),
    )
    parts = [whole.of_targets(repeated=repeated) for repeated in (True, False)]
    if not len(chosen):
        evaluate(model, held, metrics=metrics)  # which says that there is no target
    found = [evaluate(model, one, metrics=metrics, ranker=ranker) if one.targets.n_events else None for one in parts]
    eligible = Eligibility.of(whole.fold_in, seen=whole.seen)
    lists = rank(model, whole.fold_in, k, ranker=ranker, eligible=eligible).items
    keys = np.arange(len(lists))[:, None] * model.n_items + lists
    again = (np.isin(keys, whole.fold_in.pair_keys()) & (lists >= 0)).sum()
    return RepeatEvaluation(
        repeated=found[0],
        new=found[1],
        target_share=parts[0].targets.n_events / whole.targets.n_events,
        listed_share=float(again / max(1, (lists >= 0).sum())),
        k=k,
    )
