"""The service without HTTP: folds users in from their events, and makes and explains lists; `stores_events.py` has the events."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from typing import TypeVar

from foldin.errors import ConfigError, OverloadedError
from foldin.ranking import RankedLists
from foldin.serve.engine.answer import in_words
from foldin.serve.engine.fallbacks import fallback_answer, fallback_hits, is_bare, unanswered, why_not
from foldin.serve.engine.guard_rails import GuardRails
from foldin.serve.engine.impressions import ImpressionLog
from foldin.serve.engine.item_lists import ItemLists
from foldin.serve.engine.live_items import LiveItems
from foldin.serve.engine.new_items import admitted, checked_share, mixed, takes_new
from foldin.serve.engine.new_scores import NewScores
from foldin.serve.engine.registry import Registry
from foldin.serve.engine.routing import GivenHistory, RoutedRequest, resolve_request
from foldin.serve.engine.stores_events import StoresEvents
from foldin.serve.ids import unique_ids
from foldin.serve.limits import Limits
from foldin.serve.schemas import Recommendations, RecommendRequest
from foldin.serve.storage.event_store import EventStore
from foldin.serve.storage.item_lists import ItemListStore
from foldin.serve.storage.items import ItemStore
from foldin.serve.telemetry import Telemetry

__all__ = ["Service"]

T = TypeVar("T")


def _submit(routed: RoutedRequest) -> Future[RankedLists]:
    return routed.deployment.batcher.submit(routed.resolved)


class Service(StoresEvents):
    """The service.

    Args:
        registry: models in service.
        events: store of users' events.
        limits: limits of one request.
        telemetry: counters of lists and events.
        impressions: log of the lists; None for no log.
        lists: lists for all users, which may answer in place of a model; those that others made if omitted.
        explore_new: probability with which each place of a list is given to a new item.
        new_seconds: time between two looks for new items that models could score; 0 for no look.
    """

    def __init__(
        self,
        registry: Registry,
        events: EventStore,
        limits: Limits,
        telemetry: Telemetry,
        impressions: ImpressionLog | None = None,
        *,
        lists: ItemLists | None = None,
        explore_new: float = 0.0,
        new_seconds: float = 2.0,
    ) -> None:
        super().__init__(registry, events, limits, telemetry, impressions)
        self._new_id, self._guards = unique_ids(), GuardRails(telemetry)
        self.items = LiveItems(registry, ItemStore(events.engine))
        self.new_scores = NewScores(registry, self.items, seconds=new_seconds)
        self.lists = lists or ItemLists(ItemListStore(events.engine), seconds=0)
        self.explore_new = checked_share(explore_new)

    def history(self, request: RecommendRequest) -> GivenHistory:
        """The events that a request's list is based on: those of the request, or the relevant stored events of a user.

        Raises:
            ConfigError: the history is longer than the limit.
            EventStoreError: a user's events cannot be read.
        """
        most = self.limits.history
        if request.history is not None:
            if len(request.history) > most:
                raise ConfigError(f"history: at most {most} items, not {len(request.history)}")
            return GivenHistory(request.history, request.times)
        if request.user is None:
            return GivenHistory()
        events = self.events.history(request.user, newest=most + 1)
        if len(events) > most:  # there are older events, whose items must not be listed either
            models = self.registry.all()
            newest = events[1:] if any(one.repeats == "keep" for one in models) else []
            known = {event.identity for event in newest}
            ends = self.events.first_and_last(request.user, by_value=any(one.has_min_rating for one in models))
            older = [one for one in ends if one.identity not in known]
            events = [*older, *newest]
        return GivenHistory(
            [event.item for event in events],
            [event.time for event in events],
            [event.kind for event in events],
            [event.value for event in events],
        )

    def place(self, request: RecommendRequest, history: GivenHistory) -> RoutedRequest:
        """A request with its model, in item indices.

        Raises:
            ConfigError: a limit is exceeded, there is no such model or feature, or the model does not support the exploration.
        """
        target, arm = self.registry.route(request.model, request.user)
        try:
            resolved, unknown = resolve_request(target, request, history, self.limits)
        except ConfigError as error:
            self._guards.failed(arm, target.name, error)
            raise
        explored = self.explore_new > 0.0 and takes_new(request)
        taken = history.items if resolved.exclude_seen else ()
        new = admitted(target.view, request, taken) if explored else None
        return RoutedRequest(request, target, resolved, unknown, arm, new)

    def begin(
        self,
        request: RecommendRequest,
        history: GivenHistory,
        submit: Callable[[RoutedRequest], T],
        placed: RoutedRequest | None = None,
    ) -> tuple[RoutedRequest, T]:
        """Put a request in its model's queue; returns (the routed request, the future of its list).

        Args:
            placed: the result of `place`, if there is one already.

        Raises:
            ConfigError: as `place`.
            OverloadedError: the queue is full.
        """
        note = None if placed is None else placed.fallback_note
        for _ in range(3):
            routed = placed or self.place(request, history)
            if routed.fallback_note != note:
                routed = replace(routed, fallback_note=note)
            placed = None  # if its model was replaced meanwhile, the request is placed again
            try:
                return routed, submit(routed)
            except OverloadedError as error:
                if routed.deployment.batcher.open:  # full; otherwise replaced, and its successor is tried
                    self.note_failure(routed, error)
                    raise
        replaced = OverloadedError("the model is being replaced; try again")
        self.note_failure(routed, replaced)
        raise replaced

    def begin_or_fall_back(
        self, request: RecommendRequest, history: GivenHistory, submit: Callable[[RoutedRequest], T]
    ) -> tuple[RoutedRequest, T] | Recommendations:
        """As `begin`; or the request's list for all users, if nothing is known or no model can answer, unless it is empty."""
        if request.fallback is None:
            return self.begin(request, history, submit)
        routed: RoutedRequest | None = None
        try:
            routed = self.place(request, history)
            found = self._fall_back(request, history, routed) if routed.knows_nothing else None
            if found is None and routed.knows_nothing:
                routed = replace(routed, fallback_note=self._why_not(request, routed))
            return found or self.begin(request, history, submit, routed)
        except (ConfigError, OverloadedError) as error:
            if self._is_invalid(error):
                raise
            found = self._fall_back(request, history, routed)
            if found is None:
                raise unanswered(error, self._why_not(request, routed)) from error
            return found

    def _why_not(self, request: RecommendRequest, routed: RoutedRequest | None) -> str | None:
        """Why the list that a request names did not answer."""
        empty = request.fallback is not None and not self.lists.get(request.fallback)
        return why_not(request, routed, is_computed=self.lists.time is not None, is_empty=empty)

    def _is_invalid(self, error: Exception) -> bool:
        """Whether an error says that the request is invalid, and not that no model can answer."""
        return isinstance(error, ConfigError) and bool(self.registry.all())

    def _fall_back(
        self, request: RecommendRequest, history: GivenHistory, routed: RoutedRequest | None
    ) -> Recommendations | None:
        """The answer of the request's list for all users; None if it has no item that the request admits."""
        name = request.fallback
        if name is None or (routed is None and not is_bare(request)):
            return None
        hits = fallback_hits(name, self.lists.get(name), request, history, routed, self.items.state)
        if not hits:
            return None
        self.telemetry.listed("" if routed is None else routed.deployment.name, f"fallback:{name}")
        list_id = self._new_id()
        if self.impressions is not None:
            self.impressions.add_fallback(list_id, request, routed, hits)
        return fallback_answer(name, hits, request, routed, list_id)

    def finish(self, routed: RoutedRequest, answer: RankedLists) -> Recommendations:
        """The list in the form of the API."""
        self.telemetry.listed(routed.deployment.name, routed.request.explore)
        list_id = self._new_id()
        found = in_words(routed, answer, list_id)
        explored = None
        if routed.new is not None:
            key = routed.resolved.user_key
            explored = found["items"] = mixed(found["items"], routed.new, routed.request, self.explore_new, key)
        if self.impressions is not None:
            self.impressions.add(list_id, routed, answer, explored, self.explore_new)
        self._guards.made(routed)
        return found

    def note_failure(self, routed: RoutedRequest, error: Exception) -> None:
        """Count that there is no list, because of an error of its model or since it took too long (`TimeoutError`)."""
        self._guards.failed(routed.arm, routed.deployment.name, error)

    def recommend(self, requests: Sequence[RecommendRequest]) -> list[Recommendations]:
        """A list for each request; all of them wait together.

        Raises:
            ConfigError: as in `history` and `begin`, or too many requests.
            EventStoreError: a user's events cannot be read.
            OverloadedError: the queue is full, or the lists took too long.
        """
        if len(requests) > self.limits.batch:
            raise ConfigError(f"requests: at most {self.limits.batch}, not {len(requests)}")
        for request in requests:
            self._check(request)  # an invalid request is refused before any list is begun
        pending: list[tuple[RoutedRequest, Future[RankedLists]] | Recommendations] = []
        until = time.monotonic() + self.limits.wait
        try:
            for request in requests:
                history = self.history(request)
                pending.append(self.begin_or_fall_back(request, history, _submit))
            answers = []
            for one in pending:
                if isinstance(one, dict):
                    answers.append(one)
                    continue
                answers.append(self._finish_by(until, *one))
            return answers
        finally:
            for one in pending:
                if not isinstance(one, dict):
                    one[1].cancel()  # cancels the rest of a failed batch; finished lists are not affected

    def _finish_by(self, until: float, routed: RoutedRequest, future: Future[RankedLists]) -> Recommendations:
        """The list of a future, which is waited for until a time of `time.monotonic`."""
        left = until - time.monotonic()
        try:
            if left < 0.0:  # earlier lists, with their attributions, took the time
                raise FutureTimeoutError
            return self.finish(routed, future.result(timeout=left))
        except Exception as error:  # counted, whatever it is, and raised again
            self.note_failure(routed, error)
            if isinstance(error, FutureTimeoutError):
                raise self.too_late() from None
            raise

    def _check(self, request: RecommendRequest) -> None:
        """Refuse an invalid request; one with a fallback need not find a model."""
        try:
            self.place(request, GivenHistory())
        except (ConfigError, OverloadedError) as error:
            if request.fallback is None or self._is_invalid(error):
                raise

    def too_late(self) -> OverloadedError:
        """The error for a list that takes longer than the limit."""
        return OverloadedError(f"no answer within {self.limits.wait:g} s; try again")
