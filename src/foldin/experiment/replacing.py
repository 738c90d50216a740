"""Retraining of a run in service: a challenger is compared with it on the latest events, and replaces it if a rule says so.

1. The log is cut where its latest events begin, and after the newest event that the run in service was trained on.
2. A challenger is trained on the events of all users before the cut.
3. Both are scored on the same users, folded in from their histories before the cut. The paired differences are pooled with those
   of earlier nights (`nights.py`) and decided on (`outcome.py`).
4. If the rule takes the challenger, the model is trained again, on every event of the log and with as many epochs, and becomes
   the next generation of the run (`runs/generations.py`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from foldin.data import EventLog
from foldin.errors import ConfigError
from foldin.experiment.incumbent import incumbent_of, score, trained_until
from foldin.experiment.nights import Night, pooled, read_nights, recipe_of, write_nights
from foldin.experiment.origin import Origin, cut_log, latest_cut
from foldin.experiment.outcome import Outcome, Pooled, Rule
from foldin.experiment.plan import Plan
from foldin.experiment.production import Production
from foldin.experiment.retrained import Compared, Retrained
from foldin.runs import Run, add_generation, add_index
from foldin.runs.pointer import read_pointer

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

    Raises:
        RunError: the run in service is damaged, or was replaced meanwhile; it stays as it is.
        SplitError: the log has no absolute times, or no event before the latest ones.
        ConfigError: a setting of the plan or of `latest` is wrong, or the plan's start may know the latest events.
        FitError: the model cannot be trained on this log.
    """
    folder, rule = Path(folder), Rule() if rule is None else rule
    incumbent = incumbent_of(folder, device=plan.device)
    cut = latest_cut(log, latest, after=_known_to(plan.start, incumbent))
    work = _Work(log, plan, folder, keep, saying, index)
    if incumbent is None:
        epochs = work.choose(log)
        return work.done(rule, Pooled(outcome=Outcome.FIRST), epochs, swapped=True)
    origin = cut_log(log, cut)
    if not len(origin):
        return work.done(rule, Pooled(outcome=Outcome.NOTHING_NEW), None, swapped=False)
    epochs = work.choose(origin.before)
    compared = work.compare(origin, incumbent, epochs, rule.metric)
    tonight, earlier = _night(compared, incumbent, plan, rule), read_nights(folder)
    decision = pooled(earlier, tonight, rule, seed=plan.seed)
    swapped, digest = rule.swaps(decision.outcome), str(incumbent.info["digest"])
    found = work.done(rule, decision, epochs, swapped=swapped, instead_of=digest, compared=compared)
    write_nights(folder, [*earlier, replace(tonight, outcome=str(decision.outcome))])
    return found


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
    ) -> None:
        self.log, self.plan, self.folder, self.keep, self.saying, self.index = log, plan, folder, keep, saying, index
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

    def compare(self, origin: Origin, incumbent: Run, epochs: int | None, metric: str) -> Compared:
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
                leaks=trained_until(incumbent) is None,
            )

    def done(
        self,
        rule: Rule,
        decision: Pooled,
        epochs: int | None,
        *,
        swapped: bool,
        instead_of: str | None = None,
        compared: Compared | None = None,
    ) -> Retrained:
        """The result, after training on the whole log and replacing the run in service if it is to be swapped."""
        if swapped:
            with self.step("training", "training on all events of the log"):
                made = self.plan.fit(self.log, epochs)
            write = made.save if self.index is None else partial(self._save_with_index, made)
            add_generation(self.folder, write, instead_of=instead_of, keep=self.keep)
        pointer = read_pointer(self.folder)
        return Retrained(
            rule=rule,
            decision=decision,
            swapped=swapped,
            generation=None if pointer is None else pointer.generation,
            epochs=epochs,
            compared=compared,
            seconds=self.seconds,
        )

    def _save_with_index(self, made: Production, folder: Path) -> None:
        made.save(folder)
        with self.step("index", "building the index"):
            assert self.index is not None
            add_index(folder, made.model, made.catalog, description=self.index, users=made.log.histories)


def _known_to(start: Run | None, incumbent: Run | None) -> int | None:
    """Time of the newest event that the incumbent or the run from which training starts was trained on, where it is known.

    Raises:
        ConfigError: the start does not say until when it was trained; with the latest events in it, it would look too good.
    """
    times = []
    if start is not None:
        until = trained_until(start)
        if until is None:
            raise ConfigError(
                f"{start.folder}: training cannot start from a run that does not say until when it was trained, since it may "
                "know the latest events; train it again once"
            )
        times.append(until)
    if incumbent is not None and (until := trained_until(incumbent)) is not None:
        times.append(until)
    return max(times, default=None)


def _night(compared: Compared, incumbent: Run, plan: Plan, rule: Rule) -> Night:
    return Night.of(
        compared.origin.users,
        compared.challenger[1].values - compared.incumbent[1].values,
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
