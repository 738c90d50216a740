"""Retraining of a run in service: a challenger is compared with it on the latest events, and replaces it if a rule says so.

1. The log is cut where its latest events begin, and after the newest event that the run in service was trained on.
2. A challenger is trained on the events of all users before the cut.
3. Both are scored on the same users, folded in from their histories before the cut. The paired differences are pooled with those
   of earlier nights (`nights.py`) and decided on (`outcome.py`).
4. If the rule takes the challenger, the model is trained again, on every event of the log and with as many epochs, and becomes
   the next generation of the run (`runs/generations.py`).

The run in service is the folder's current one, unless a service says that it answers with another, to which it was rolled back.
"""

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from foldin.data import EventLog
from foldin.errors import ConfigError, RunError
from foldin.experiment.incumbent import InService, incumbent_of, score, trained_until
from foldin.experiment.nights import Night, decide_night, recipe_of, secret_of
from foldin.experiment.origin import Origin, cut_log, latest_cut, until_now
from foldin.experiment.outcome import Outcome, Pooled, Rule
from foldin.experiment.plan import Plan
from foldin.experiment.production import Production
from foldin.experiment.retrained import Compared, Retrained
from foldin.runs import Run, add_generation, add_index, generations, without_secrets
from foldin.runs.pointer import digest_in

__all__ = ["retrain"]


def retrain(
    log: EventLog,
    plan: Plan,
    folder: str | Path,
    *,
    rule: Rule | None = None,
    latest: str = "1d",
    keep: int | None = None,
    saying: Callable[[str], None] | None = None,
    index: str | None = None,
    service: Callable[[Path], InService] | None = None,
    now: float | None = None,
) -> Retrained:
    """Train a model, and put it in the place of the run in service if it is not worse on the latest events.

    If there is no run in service, the model is trained on the log and becomes generation 1.

    Args:
        log: the log, with absolute times.
        plan: the model, and how it is trained.
        folder: a folder of generations, a plain run directory, or a new or empty folder. It may be served meanwhile.
        rule: when the run in service is replaced; `Rule()` if None.
        latest: which events are the latest ones: a duration before the newest event, such as `12h`, `1d` or `2w`, or a share of
            all events, such as `0.1`. Events that the run in service was trained on are never among them.
        keep: number of generations to keep; None for all.
        saying: called with each step, in a few words.
        index: FAISS' description of an index over the items that is stored with the new run; None for none.
        service: asks a service what it has of the folder, such as `foldin.serve.in_service` of its database; if None, the
            folder's current run is taken for the one in service.
        now: time of the clock, in seconds since 1970; that of this machine if None. Events that are ahead of it are left out.

    Raises:
        RunError: the run in service is damaged, cannot be read here, or was replaced meanwhile; it stays as it is.
        EventStoreError: the service's database is not available.
        SplitError: the log has no absolute times, or no event before the latest ones.
        ConfigError: a setting of the plan or of `latest` is wrong, or the plan's start may know the latest events.
        FitError: the model cannot be trained on this log.
    """
    folder, rule, log = Path(folder), Rule() if rule is None else rule, _past(log, now, saying)
    current, told = digest_in(folder), _asked(folder, service, saying)
    incumbent = incumbent_of(folder, device=plan.device, told=told)
    cut = latest_cut(log, latest, after=_known_to(plan.start, incumbent, now))
    work = _Work(log, plan, folder, keep, saying, index, service, told)
    if incumbent is None:
        epochs = work.choose(log)
        return work.done(rule, Pooled(outcome=Outcome.FIRST), epochs, swapped=True)
    origin = cut_log(log, cut)
    if not len(origin):
        return work.done(rule, Pooled(outcome=Outcome.NOTHING_NEW), None, swapped=False, incumbent=incumbent)
    epochs = work.choose(origin.before)
    compared = work.compare(origin, incumbent, epochs, rule.metric, now)
    decision = decide_night(folder, _night(compared, incumbent, plan, rule, secret_of(folder)), rule, seed=plan.seed)
    about: dict[str, Any] = {"incumbent": incumbent, "instead_of": current, "compared": compared}
    return work.done(rule, decision, epochs, swapped=rule.swaps(decision), **about)


class _Work:
    """The steps of a retraining, with their durations in seconds."""

    def __init__(
        self,
        log: EventLog,
        plan: Plan,
        folder: Path,
        keep: int | None,
        saying: Callable[[str], None] | None,
        index: str | None,
        service: Callable[[Path], InService] | None,
        told: InService,
    ) -> None:
        self.log, self.plan, self.folder, self.keep, self.saying, self.index = log, plan, folder, keep, saying, index
        self.service, self.told = service, told
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        if self.saying is not None:
            self.saying(what)
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun

    def choose(self, log: EventLog) -> int | None:
        with self.step("epochs", "choosing the number of epochs"):
            return self.plan.choose_epochs(log)

    def compare(self, origin: Origin, incumbent: Run, epochs: int | None, metric: str, now: float | None) -> Compared:
        """Train the challenger on the events before the cut, and score both models."""
        date = datetime.fromtimestamp(origin.time, UTC).strftime("%Y-%m-%d %H:%M")
        with self.step("challenger", f"training a challenger on the events before {date} UTC"):
            challenger = self.plan.fit(origin.before, epochs)
        with self.step("comparison", f"comparing both on {len(origin):,} users"):
            return Compared(
                origin=origin,
                incumbent=(
                    incumbent.name,
                    score(incumbent.model, incumbent.catalog, origin, metric, incumbent.weighting),
                ),
                challenger=(
                    challenger.name,
                    score(challenger.model, challenger.catalog, origin, metric, challenger.weighting),
                ),
                leaks=trained_until(incumbent, now) is None,
            )

    def done(
        self,
        rule: Rule,
        decision: Pooled,
        epochs: int | None,
        *,
        swapped: bool,
        incumbent: Run | None = None,
        instead_of: str | None = None,
        compared: Compared | None = None,
    ) -> Retrained:
        """The result, after training on the whole log and replacing the run in service if it is to be swapped.

        Args:
            instead_of: digest of the folder's current run when the comparison began.
        """
        number = None if incumbent is None else _number_of(incumbent, self.folder)
        if swapped:
            with self.step("training", "training on all events of the log"):
                made = self.plan.fit(self.log, epochs)
            write = made.save if self.index is None else partial(self._save_with_index, made)
            in_use = None if self.service is None else self._in_use
            added = add_generation(self.folder, write, instead_of=instead_of, keep=self.keep, in_use=in_use)
            number = added.number
        return Retrained(
            rule=rule,
            decision=decision,
            swapped=swapped,
            generation=number,
            epochs=epochs,
            compared=compared,
            seconds=self.seconds,
        )

    def _in_use(self) -> Set[str]:
        """The runs that the service names, if it still answers with the run that was compared with."""
        assert self.service is not None
        now = self.service(self.folder)
        if now.digest != self.told.digest:
            raise RunError(
                f"{self.folder}: the service answers with another run by now; it stays, and nothing was replaced"
            )
        return now.named

    def _save_with_index(self, made: Production, folder: Path) -> None:
        made.save(folder)
        with self.step("index", "building the index"):
            assert self.index is not None
            add_index(folder, made.model, made.catalog, description=self.index, users=made.log.histories)


def _past(log: EventLog, now: float | None, saying: Callable[[str], None] | None) -> EventLog:
    """The log without the events that are ahead of the clock; it is said how many they are."""
    past = until_now(log, now)
    ahead = log.histories.n_events - past.histories.n_events
    if ahead and saying is not None:
        saying(f"{ahead:,} events are ahead of the clock and are left out")
    return past


def _asked(
    folder: Path, service: Callable[[Path], InService] | None, saying: Callable[[str], None] | None
) -> InService:
    """What a service has of a folder; it is said if the service answers with another run than the current one."""
    told = InService() if service is None else service(folder)
    if told.digest is not None and saying is not None:
        saying(f"the service answers with {without_secrets(told.uri)}, not with the current run of {folder}")
    return told


def _number_of(run: Run, folder: Path) -> int | None:
    """The number of a run among the generations of a folder; None if it is none of them."""
    return next((one.number for one in generations(folder) if one.folder == run.folder), None)


def _known_to(start: Run | None, incumbent: Run | None, now: float | None) -> int | None:
    """Time of the newest event that the incumbent or the run from which training starts was trained on, where it is known.

    Raises:
        ConfigError: the start does not say until when it was trained; with the latest events in it, it would look too good.
    """
    times = []
    if start is not None:
        until = trained_until(start, now)
        if until is None:
            raise ConfigError(
                f"{start.folder}: training cannot start from a run that does not say until when it was trained, since it may "
                "know the latest events; train it again once"
            )
        times.append(until)
    if incumbent is not None and (until := trained_until(incumbent, now)) is not None:
        times.append(until)
    return max(times, default=None)


def _night(compared: Compared, incumbent: Run, plan: Plan, rule: Rule, secret: bytes) -> Night:
    return Night.of(
        compared.origin.users,
        compared.challenger[1].values - compared.incumbent[1].values,
        secret=secret,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        incumbent=str(incumbent.info["digest"]),
        recipe=recipe_of(
            plan.name,
            plan.config.as_dict(),
            warm=plan.start is not None,
            decay=None if plan.start is None else plan.decay,
        ),
        metric=rule.metric,
        cut=compared.origin.time,
    )
