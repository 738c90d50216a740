"""What the service does, without HTTP: fold people in from their events, list, explain, and keep events."""

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from foldin.data import Condition, resolve_history
from foldin.errors import ConfigError, OverloadedError
from foldin.models import PosteriorSampler, capability, user_key
from foldin.ranking import Gumbel, PosteriorSample, RankedLists, Ranker, WithSpread, attributions, barred_items
from foldin.serve.event_store import Event, EventStore, Receipt
from foldin.serve.limits import Limits, bounded
from foldin.serve.lists import ResolvedRequest
from foldin.serve.registry import Deployment, Registry
from foldin.serve.schemas import (
    EventIn,
    EventOut,
    Hit,
    PersonOut,
    Question,
    Reason,
    Recommendations,
)
from foldin.serve.telemetry import Telemetry
from foldin.tensors import Array, Bool

__all__ = ["Placed", "Service", "Taken"]

T = TypeVar("T")


@dataclass(frozen=True)
class Taken:
    """The events that a list is made of.

    Args:
        items: external ids, oldest first.
        times: seconds since 1970 of these events; None where the history came without times.
    """

    items: Sequence[str] = ()
    times: Sequence[int] | None = None


@dataclass(frozen=True)
class Placed:
    """A question at the model that answers it.

    Args:
        question: as it was asked.
        deployment: who answers.
        request: the question in indices.
        unknown: ids that the model does not know.
        by_split: whether a test between models chose this one.
    """

    question: Question
    deployment: Deployment
    request: ResolvedRequest
    unknown: list[str]
    by_split: bool = False

    def note(self) -> dict[str, str | bool]:
        """For the log: who answers, and whether a test's split chose it."""
        return {"model": self.deployment.name, "run": self.deployment.digest, "split": self.by_split}


class Service:
    """The service.

    Args:
        registry: models in service.
        events: people's events.
        limits: what one request may ask.
        telemetry: where lists and events are counted.
    """

    def __init__(self, registry: Registry, events: EventStore, limits: Limits, telemetry: Telemetry) -> None:
        self.registry, self.events, self.limits, self.telemetry = registry, events, limits, telemetry

    def history(self, question: Question) -> Taken:
        """The events that a question's list is made of: as given, or those of a person that matter to a list.

        Raises:
            ConfigError: longer than the limit.
            EventStoreError: a person's events cannot be read.
        """
        most = self.limits.history
        if question.history is not None:
            if len(question.history) > most:
                raise ConfigError(f"history: at most {most} items, not {len(question.history)}")
            return Taken(question.history, question.times)
        if question.person is None:
            return Taken()
        events = self.events.history(question.person, newest=most + 1)
        if len(events) > most:  # the newest events are not all; what was taken long ago is still not to be listed
            events = self.events.first_and_last(question.person)
        return Taken([event.item for event in events], [event.time for event in events])

    def place(self, question: Question, taken: Taken) -> Placed:
        """A question at its model, in indices.

        Raises:
            ConfigError: beyond a limit, no such model or attribute, an exploration that the model does not know.
        """
        target = self.registry.choose(question.model, question.person)
        request, unknown = self._resolved(target, question, taken)
        by_split = question.model is None and question.person is not None and bool(self.registry.shares)
        return Placed(question, target, request, unknown, by_split)

    def begin(self, question: Question, taken: Taken, submit: Callable[[Placed], T]) -> tuple[Placed, T]:
        """Put a question in its model's queue; (where it was put, what `submit` gave).

        Raises:
            ConfigError: as `place`.
            OverloadedError: the queue is full.
        """
        for _ in range(3):
            placed = self.place(question, taken)
            try:
                return placed, submit(placed)
            except OverloadedError:
                if placed.deployment.batcher.open:  # full; else it has just been replaced, and the next one is asked
                    raise
        raise OverloadedError("the model is being replaced; ask again")

    def finish(self, placed: Placed, answer: RankedLists) -> Recommendations:
        """The list in words."""
        self.telemetry.lists.labels(placed.deployment.name, placed.question.explore).inc()
        return self._answer(placed, answer)

    def recommend(self, questions: Sequence[Question]) -> list[Recommendations]:
        """A list for each question; all of them wait together.

        Raises:
            ConfigError, EventStoreError, OverloadedError: as `history` and `begin`; too many questions; too long a wait.
        """
        if len(questions) > self.limits.batch:
            raise ConfigError(f"requests: at most {self.limits.batch}, not {len(questions)}")
        for question in questions:
            self.place(question, Taken())  # whatever is wrong with one is said before any is begun
        pending: list[tuple[Placed, Future[RankedLists]]] = []
        until = time.monotonic() + self.limits.wait
        try:
            for question in questions:
                taken = self.history(question)
                pending.append(self.begin(question, taken, lambda one: one.deployment.batcher.submit(one.request)))
            answers = []
            for placed, future in pending:
                if time.monotonic() > until:  # the reasons of those before took it
                    raise self.too_late()
                answers.append(self.finish(placed, future.result(timeout=max(0.0, until - time.monotonic()))))
            return answers
        except FutureTimeoutError:
            raise self.too_late() from None
        finally:
            for _, future in pending:
                future.cancel()  # nothing is left of a batch that failed; what is done stays done

    def too_late(self) -> OverloadedError:
        """What to say when an answer takes longer than the limit."""
        return OverloadedError(f"no answer within {self.limits.wait:g} s; ask again")

    def _resolved(self, target: Deployment, question: Question, taken: Taken) -> tuple[ResolvedRequest, list[str]]:
        """(the request in indices, ids that the model does not know)."""
        limits, catalog = self.limits, target.run.catalog
        if question.k > limits.k:
            raise ConfigError(f"k: at most {limits.k}, not {question.k}")
        history = resolve_history(catalog, taken.items, times=taken.times, repeats=target.repeats)
        unknown = dict.fromkeys(history.unknown[-limits.history :])

        def known(name: str, listed: Sequence[str] | None) -> list[int]:
            if listed is None:
                return []
            if len(listed) > limits.ids:
                raise ConfigError(f"{name}: at most {limits.ids} items, not {len(listed)}")
            places = catalog.places(listed)
            for one, at in zip(listed, places, strict=True):
                if at is None:
                    unknown[bounded(one, name)] = None
            return [at for at in places if at is not None]

        if question.history is not None:
            for one in unknown:
                bounded(one, "history")
        allow, deny = known("allow", question.allow), known("deny", question.deny)
        barred: Bool[Array, " items"] | None = None
        if question.allow is not None or deny or question.filter:
            asked = {name: Condition(**one.model_dump()) for name, one in (question.filter or {}).items()}
            where = target.filters.passing(asked) if asked else None
            allowed = None if question.allow is None else allow
            barred = barred_items(len(catalog), allow=allowed, deny=deny, where=where)
        seed = question.seed
        if seed is None:
            seed = secrets.randbelow(2**63) if question.explore != "none" else 0
        read = slice(max(0, len(history.items) - limits.history), None)
        request = ResolvedRequest(
            history=history.items[read],
            k=min(question.k, len(catalog)),
            times=None if history.times is None else history.times[read],
            older=history.items[: read.start],
            exclude_seen=question.exclude_seen,
            barred=barred,
            ranker=self._ranker(target, question, seed),
            key=None if question.person is None else user_key(question.person),
        )
        return request, list(unknown)

    @staticmethod
    def _ranker(target: Deployment, question: Question, seed: int) -> Ranker:
        """What makes the list of a question.

        Raises:
            ConfigError: an exploration that the model does not know.
        """
        model, ranker = target.run.model, target.ranker
        if question.explore == "thompson":
            ranker = PosteriorSample(seed, question.draws)
        elif question.explore == "temperature":
            ranker = Gumbel(question.temperature, seed)
        sampled = capability(model, PosteriorSampler) is not None
        if question.uncertainty and question.explore != "thompson" and sampled:
            ranker = WithSpread(ranker, question.draws, seed=seed)
        try:
            ranker.check(model)
        except ConfigError as error:
            raise ConfigError(f"explore: {question.explore}: {error}") from None
        return ranker

    def _answer(self, placed: Placed, answer: RankedLists) -> Recommendations:
        question, deployment, request = placed.question, placed.deployment, placed.request
        model, catalog = deployment.run.model, deployment.run.catalog
        why = None
        if question.explain:
            with deployment.using:
                why = attributions(model, request.history, answer.items[0], request.times)
        dense = answer.normalized
        scores = (np.exp(answer.scores[0].astype(np.float64)) if dense else answer.scores[0]).tolist()
        known = {name: values[0].tolist() for name, values in answer.columns().items()}
        sd, propensity, propensity_se, inverse = (
            known.get(name) for name in ("sd", "propensity", "propensity_se", "inverse_propensity")
        )
        hits: list[Hit] = [
            {
                "rank": place + 1,
                "item": catalog.ids[item],
                "title": catalog.titles[item],
                "probability": scores[place] if dense else None,
                "score": None if dense else scores[place],
                "sd": None if sd is None else sd[place],
                "propensity": None if propensity is None else propensity[place],
                "propensity_se": None if propensity_se is None else propensity_se[place],
                "inverse_propensity": None if inverse is None else inverse[place],
                "reasons": None if why is None else self._said(deployment, request, why[place].raised_by),
                "despite": None if why is None else self._said(deployment, request, why[place].lowered_by),
            }
            for place, item in enumerate(answer.items[0].tolist())
        ]
        return {
            "model": deployment.name,
            "run": deployment.digest,
            "person": question.person,
            "known_events": len(request.history),
            "unknown_items": placed.unknown,
            "effect_unit": "nats" if model.has_likelihood else "score",
            "prior": not request.history,
            "items": hits,
        }

    @staticmethod
    def _said(deployment: Deployment, request: ResolvedRequest, moved: Sequence[tuple[int, float]]) -> list[Reason]:
        catalog = deployment.run.catalog
        items = ((request.history[place], change) for place, change in moved)
        return [{"item": catalog.ids[item], "title": catalog.titles[item], "change": change} for item, change in items]

    def append(self, batch: Sequence[EventIn], key: str | None, sender: str = "") -> Receipt:
        """Keep events; they are on disk when this returns.

        Args:
            key: of idempotency.
            sender: whose key that is; those of others are other keys.

        Raises:
            ConfigError: too many, an item's id that is too long and in no catalog, or a key that is too long.
            IdempotencyError: the key came with other events before.
            EventStoreError: the database is away.
        """
        if len(batch) > self.limits.batch:
            raise ConfigError(f"events: at most {self.limits.batch}, not {len(batch)}")
        if key is not None and not 1 <= len(key) <= 200:
            raise ConfigError("Idempotency-Key: between 1 and 200 characters were expected")
        if key is not None and any(one.time is None for one in batch):
            raise ConfigError(
                "events: with an Idempotency-Key every event needs its time, or it would be another later"
            )
        for one in {event.item for event in batch}:
            if not self.registry.knows(one):
                bounded(one, "events: item")
        now = int(time.time())
        events = [Event(one.person, one.item, now if one.time is None else one.time) for one in batch]
        receipt = self.events.append(events, key=None if key is None else f"{sender}/{key}")
        if not receipt.replayed:
            self.telemetry.events.labels("accepted").inc(receipt.accepted)
            self.telemetry.events.labels("duplicate").inc(receipt.duplicates)
        return receipt

    def person(self, person: str) -> PersonOut:
        """Everything that is kept of a person; titles as the default model knows them.

        Raises:
            EventStoreError: the database is away.
        """
        titles: dict[str, str] = {}
        kept = self.events.history(person)
        if self.registry.default is not None:
            catalog = self.registry.get(self.registry.default).run.catalog
            items = [one.item for one in kept]
            known = catalog.known(items)
            titles = {catalog.ids[at]: catalog.titles[at] for at in known}
        events = [EventOut(item=one.item, time=one.time, title=titles.get(one.item)) for one in kept]
        return PersonOut(person=person, events=events)
