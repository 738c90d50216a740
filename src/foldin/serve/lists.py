"""What one person asks for and gets: lists of many requests from one forward pass, exploration, reasons.

Requests differ in what they hide, allow and how much they want; the forward pass is the same. So the scores of a batch are
computed once, and each row is masked by its own request. A list is that of `Recommender.recommend`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
import torch

from foldin.blocks import log_total, top_k
from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import Posterior, Recommender, history_key, stream, streams
from foldin.tensors import Array, Bool, Float, Int64

__all__ = ["EXPLORE", "Answer", "Reasons", "Wanted", "answers", "check", "needs_draws", "reasons"]

EXPLORE = ("none", "thompson", "temperature")
_DRAWS = 100


@dataclass(frozen=True)
class Wanted:
    """One request.

    Args:
        history: item indices, oldest first, as far as the model reads them.
        k: length of the list.
        times: seconds since 1970 of these events; None where the history came without times.
        older: items that were taken before those that the model reads.
        exclude_seen: leave out what is in the history, and what is older.
        banned: which items may not be listed; None bans none.
        explore: one of `EXPLORE`: the best list, that of one draw from the posterior, or one drawn item by item.
        temperature: log-probabilities are divided by it, where the list is drawn.
        seed: of the draws; with it and the history the list is the same in any batch.
        draws: from the posterior, for the spread and for propensities; the model's own number when None.
        uncertainty: whether the posterior's spread is wanted, where there is one.
    """

    history: tuple[int, ...]
    k: int
    times: tuple[int, ...] | None = None
    older: tuple[int, ...] = ()
    exclude_seen: bool = True
    banned: Bool[Array, " items"] | None = field(default=None, compare=False)
    explore: str = "none"
    temperature: float = 1.0
    seed: int = 0
    draws: int | None = None
    uncertainty: bool = False

    @property
    def seen(self) -> tuple[int, ...]:
        """Items that may not be listed again."""
        return (*self.older, *self.history) if self.exclude_seen else ()


@dataclass(frozen=True)
class Answer:
    """One list, best first; nothing in it is empty.

    Args:
        items: indices.
        scores: as of `TopK`.
        sd: posterior standard deviation of each probability, where it was wanted and there is one.
        propensity: of each item when exploring. Of temperature it is exact, and conditional: P(drawn at its place, given those
            above it); their product is the probability of the list. Of thompson it is estimated, and marginal: P(somewhere
            in the list), whatever else is, over independent draws from the posterior. The two are not to be mixed.
        propensity_se: standard error of thompson's.
        inverse_propensity: estimate of 1 / propensity, for inverse propensity scoring; see `Predictive`.
    """

    items: Int64[Array, " found"]
    scores: Float[Array, " found"]
    sd: Float[Array, " found"] | None = None
    propensity: Float[Array, " found"] | None = None
    propensity_se: Float[Array, " found"] | None = None
    inverse_propensity: Float[Array, " found"] | None = None


@dataclass(frozen=True)
class Reasons:
    """Why an item is listed: (event's place in the history, change of the item by its being there), strongest first.

    Args:
        because: the events that raised it.
        despite: the events that lowered it.
    """

    because: tuple[tuple[int, float], ...]
    despite: tuple[tuple[int, float], ...]


@torch.no_grad()
def answers(model: Recommender, wanted: Sequence[Wanted]) -> list[Answer]:
    """The answer to each request, in one forward pass for those that need no draws from a posterior.

    Raises:
        ConfigError: a draw from the posterior of a model without one, or a temperature that is not above 0.
    """
    for one in wanted:
        check(model, one)
    found: dict[int, Answer] = {}
    together = [at for at, one in enumerate(wanted) if one.explore == "temperature" or not needs_draws(model, one)]
    for start in range(0, len(together), model.block()):
        chosen = together[start : start + model.block()]
        found |= dict(zip(chosen, _together(model, [wanted[at] for at in chosen]), strict=True))
    for at, one in enumerate(wanted):
        if at not in found:
            found[at] = _predictive(model, one)
    for at, one in enumerate(wanted):
        if isinstance(model, Posterior) and one.uncertainty and one.explore == "temperature":
            found[at] = replace(found[at], sd=_spread(model, one, found[at].items))
    return [found[at] for at in range(len(wanted))]


def _spread(model: Posterior, one: Wanted, items: Int64[Array, " found"]) -> Float[Array, " found"]:
    """Posterior standard deviation of the probability of each item of a list that was not made by `predictive`."""
    people = _people([one.history], [one.times], model.n_items)
    barred = torch.zeros(1, model.n_items, dtype=torch.bool, device=model.device)
    barred[0, list(one.seen)] = True
    if one.banned is not None:
        barred[0, torch.from_numpy(one.banned).to(model.device)] = True
    at = torch.from_numpy(items).to(model.device)
    own = streams(one.seed, "spread", [history_key(one.history)])
    drawn = islice(model.drawn(people, own, barred), _DRAWS if one.draws is None else one.draws)
    shares = [torch.softmax(logits, dim=1)[0, at].clone() for logits in drawn]
    return torch.stack(shares).double().std(dim=0).cpu().numpy()


def check(model: Recommender, one: Wanted) -> None:
    """Whether a model can answer a request.

    Raises:
        ConfigError: an exploration that it does not know, or a temperature that is not above 0.
    """
    if one.explore not in EXPLORE:
        raise ConfigError(f"explore: one of {', '.join(EXPLORE)} was expected, not {one.explore!r}")
    if one.explore == "thompson" and not isinstance(model, Posterior):
        raise ConfigError("explore: thompson needs a model with a posterior; this one has none")
    if one.explore == "temperature" and not (model.has_likelihood and one.temperature > 0):
        raise ConfigError("explore: temperature needs a model with a density, and a temperature above 0")


def needs_draws(model: Recommender, one: Wanted) -> bool:
    """Whether a request needs draws from the posterior: a hundred forward passes instead of its share of one."""
    return isinstance(model, Posterior) and (one.explore == "thompson" or one.uncertainty)


def _people(items: Sequence[Sequence[int]], times: Sequence[Sequence[int] | None], n_items: int) -> Histories:
    """Histories of some requests; where some have times, the others are of one moment."""
    lengths = [len(one) for one in items]
    moments = None
    if any(one is not None for one in times):
        filled = ([0] * n if one is None else one for one, n in zip(times, lengths, strict=True))
        moments = np.fromiter(chain.from_iterable(filled), np.int64, sum(lengths))
    return Histories(
        items=np.fromiter(chain.from_iterable(items), np.int32, sum(lengths)),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        n_items=n_items,
        times=moments,
    )


def _together(model: Recommender, wanted: Sequence[Wanted]) -> list[Answer]:
    people = _people([one.history for one in wanted], [one.times for one in wanted], model.n_items)
    hidden = people
    if any(one.older or not one.exclude_seen for one in wanted):
        hidden = Histories.from_lists([one.seen for one in wanted], model.n_items)
    logits = model.masked_scores(people, seen=hidden)
    for row, one in enumerate(wanted):
        if one.banned is not None:
            logits[row, torch.from_numpy(np.flatnonzero(one.banned)).to(logits.device)] = -torch.inf
    top, items = top_k(logits, max(one.k for one in wanted))
    if model.has_likelihood:
        top = top - log_total(logits, top[:, :1], items[:, :1])
    lists, values = items.cpu().numpy(), top.cpu().numpy().astype(np.float32)
    made = []
    for row, one in enumerate(wanted):
        if one.explore == "temperature":
            made.append(_tempered(torch.log_softmax(logits[row].double(), dim=0).cpu().numpy(), one))
            continue
        own = lists[row, : one.k]
        made.append(Answer(own[own >= 0], values[row, : one.k][own >= 0]))
    return made


def _tempered(logp: Float[Array, " items"], one: Wanted) -> Answer:
    """k items drawn one after the other without replacement, p ∝ exp(logp / temperature): by the k largest of logp / T + Gumbel.

    The propensity of each is exact: its probability given those above it.

    Source: kool2019, section 2.
    """
    rng = stream(one.seed, "temperature", history_key(one.history))
    scaled = logp / one.temperature
    keys = scaled + rng.gumbel(size=len(scaled))
    possible = np.flatnonzero(np.isfinite(logp))
    items = possible[np.argsort(-keys[possible], kind="stable")[: one.k]]
    if not len(items):
        return Answer(items, logp[items].astype(np.float32), propensity=np.empty(0), inverse_propensity=np.empty(0))
    # What is left before each draw, in logs and from the end, where nothing cancels: the rest, then with the last one, …
    others = np.setdiff1d(possible, items)
    rest = np.logaddexp.reduce(scaled[others]) if len(others) else -np.inf
    left = np.logaddexp.accumulate(np.append(rest, scaled[items][::-1]))[1:][::-1]
    chance = scaled[items] - left
    return Answer(
        items,
        logp[items].astype(np.float32),
        propensity=np.exp(chance),
        inverse_propensity=np.exp(np.minimum(-chance, 700.0)),
    )


def _predictive(model: Recommender, one: Wanted) -> Answer:
    assert isinstance(model, Posterior)
    people = _people([one.history], [one.times], model.n_items)
    barred = np.zeros(model.n_items, dtype=bool) if one.banned is None else one.banned.copy()
    barred[list(one.seen)] = True
    explore = one.explore == "thompson"
    generator = torch.Generator().manual_seed(one.seed)
    found = model.predictive(
        people,
        one.k,
        generator,
        draws=one.draws,
        explore=explore,
        exclude_seen=False,
        deny=np.flatnonzero(barred).tolist(),
    )
    kept = found.items[0] >= 0
    items, scores, sd = (part[0][kept] for part in (found.items, found.scores, found.sd))
    if not explore:
        return Answer(items, scores, sd)
    return Answer(
        items, scores, sd, *(p[0][kept] for p in (found.in_top_k, found.in_top_k_se, found.inverse_propensity))
    )


@torch.no_grad()
def reasons(
    model: Recommender,
    history: Sequence[int],
    items: Int64[Array, " listed"],
    times: Sequence[int] | None = None,
    most: int = 3,
) -> list[Reasons]:
    """For each listed item the events of the history that raised it most, and those that lowered it most.

    The change is that of the item's log-probability (of its score, without a density) when the event is there against when it
    is not, all others staying: leave-one-out over the fold-in, all in one batch. Events without effect are left out.
    """
    if not len(history) or not len(items):
        return [Reasons((), ()) for _ in items]

    def without(events: Sequence[int]) -> list[Sequence[int]]:
        return [events, *([*events[:at], *events[at + 1 :]] for at in range(len(events)))]

    rows = without(history)
    moments: Sequence[Sequence[int] | None] = [None] * len(rows) if times is None else without(times)
    scores = np.empty((len(rows), len(items)))
    step = model.block()
    for start in range(0, len(rows), step):
        part = _people(rows[start : start + step], moments[start : start + step], model.n_items)
        scores[start : start + step] = model.scores(part)[:, torch.from_numpy(items)].double().cpu().numpy()
    change = scores[0] - scores[1:]
    found = []
    for column in change.T:
        order = [(int(at), float(column[at])) for at in np.argsort(-np.abs(column), kind="stable")]
        raised = [one for one in order if one[1] > 0.0][:most]
        lowered = [one for one in order if one[1] < 0.0][:most]
        found.append(Reasons(tuple(raised), tuple(lowered)))
    return found
