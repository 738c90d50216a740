"""Paired differences of earlier nights, kept beside the generations of a run, and pooled until they decide.

`nights.jsonl` has a line for each comparison with a run in service. Lines of one incumbent, one recipe (model, settings, how
training starts) and one metric form a pool; a new incumbent begins a new one. A line has the difference of each user, by a digest
of the id.

The digests are keyed by a secret of the folder, `.nights.key`, which only its owner may read. A reader of the lines alone can
therefore neither find a user by a guess of the id, nor see that two folders, or the pools of two incumbents, have a user in
common. Nights whose digests have another key, or none, as earlier versions wrote them, are of no pool.

Every user counts once in a pool, with the mean of the user's differences over the nights. Differences of one user on several
nights depend on each other (a user whom one of the models serves well is served well again, and the windows of nights may
overlap), whereas users are drawn independently: with users as the unit, the interval is valid whatever that dependence is. The
figure is then a mean over users, as all figures of foldin are, and not over users weighted by how often they come. What the
interval leaves out is how much a training depends on its seed.

A pool goes back over no more nights than needed for an interval whose half-width is below the margin, so that old nights, on
which the incumbent was fresher, do not decide for longer than necessary. The number of nights is chosen by the width of the
interval and not by its place.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.experiment.outcome import Pooled, Rule, decide, normal_half_width
from foldin.files import locked, write_text
from foldin.tensors import Array, Float64

__all__ = ["NIGHTS", "Night", "decide_night", "pooled", "read_nights", "recipe_of", "secret_of", "write_nights"]

NIGHTS = "nights.jsonl"
_LOCK = ".nights.lock"
_SECRET, _BYTES = ".nights.key", 32
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Night:
    """One comparison of a challenger with the run in service.

    Args:
        when: time of the comparison, ISO 8601.
        incumbent: digest of the run in service.
        recipe: digest of the model's name, its settings and how its training starts.
        metric: the metric that was compared.
        cut: seconds since 1970 from which on events were targets.
        users: number of users compared on this night.
        difference: mean difference of this night; None without users.
        outcome: outcome of the pool on this night.
        key: digest of the secret by which the users' digests are keyed; "" for plain digests.
        differences: difference of each user, by a keyed digest of the user's id; empty for earlier incumbents.
    """

    when: str
    incumbent: str
    recipe: str
    metric: str
    cut: int
    users: int
    difference: float | None
    outcome: str = ""
    key: str = ""
    differences: Mapping[str, float]

    @classmethod
    def of(
        cls, users: pl.Series, differences: Float64[Array, " users"], *, secret: bytes, incumbent: str, **about: Any
    ) -> "Night":
        """The night on which these users, given by their external ids, had these differences.

        Args:
            secret: the secret of the folder in which the night is kept (`secret_of`).
        """
        keys = (_digest(f"{incumbent} {user}", secret, 8) for user in users)
        rounded = (round(float(one), _DIGITS) for one in differences)
        mean = float(differences.mean()) if len(differences) else None
        each = dict(zip(keys, rounded, strict=True))
        about |= {"incumbent": incumbent, "key": _digest("key", secret, 4)}
        return cls(users=len(differences), difference=mean, differences=each, **about)

    def of_pool(self, other: "Night") -> bool:
        """Whether two nights compare the same recipe with the same run by the same metric, and digest users alike."""
        return self._pool == other._pool

    @property
    def _pool(self) -> tuple[str, str, str, str]:
        return self.incumbent, self.recipe, self.metric, self.key


def recipe_of(name: str, config: Mapping[str, Any], *, warm: bool, decay: float | None = None) -> str:
    """A digest of what makes two nights comparable besides the incumbent: the model, its settings, and how training starts."""
    how = [warm] if decay is None else [warm, decay]
    content = json.dumps([name, dict(config), *how], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _digest(text: str, secret: bytes, size: int) -> str:
    return hashlib.blake2b(text.encode(), key=secret, digest_size=size).hexdigest()


def secret_of(folder: Path) -> bytes:
    """The secret of a folder, by which the digests of its users are keyed; made at the first call.

    Raises:
        OSError: it cannot be read, or the folder cannot be written to.
    """
    path = folder / _SECRET
    with locked(folder / _LOCK):
        try:
            found = bytes.fromhex(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            found = b""
        if len(found) != _BYTES:  # none, or one that a full disk cut off
            found = secrets.token_bytes(_BYTES)
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(found.hex())
    return found


def read_nights(folder: Path) -> list[Night]:
    """The nights that are kept in a folder, oldest first; damaged lines are left out, so that they stop no other night."""
    try:
        lines = (folder / NIGHTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            night = Night(**json.loads(line))
            readable = np.isfinite(np.array(list(night.differences.values()), dtype=np.float64)).all()
        except (ValueError, TypeError, AttributeError):
            continue
        if readable:
            found.append(night)
    return found


def write_nights(folder: Path, nights: Sequence[Night]) -> None:
    """Keep the nights of a folder, at once. Only those with the last one's incumbent and key keep the differences of users."""
    last = nights[-1]
    alike = ((one.incumbent, one.key) == (last.incumbent, last.key) for one in nights)
    kept = [one if same else replace(one, differences={}) for one, same in zip(nights, alike, strict=True)]
    lines = (json.dumps(asdict(one), allow_nan=False, separators=(",", ":")) + "\n" for one in kept)
    write_text(folder / NIGHTS, "".join(lines))


def pooled(nights: Iterable[Night], tonight: Night, rule: Rule, *, seed: int = 0) -> Pooled:
    """The decision on the users of a night, and of as many nights of its pool before it as the margin needs.

    Args:
        nights: earlier nights, oldest first; those of other pools are left out.
        tonight: the night that has just been measured.
        rule: the rule; nights are added until half the width of the interval is below its margin.
        seed: seed of the draws of the interval.
    """
    earlier = [one for one in nights if one.of_pool(tonight) and one.differences]
    look, precision = len(earlier) + 1, abs(rule.margin)
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    every = (tonight, *reversed(earlier))
    for number, night in enumerate(every, start=1):
        for user, difference in night.differences.items():
            sums[user] = sums.get(user, 0.0) + difference
            counts[user] = counts.get(user, 0) + 1
        values = np.array([sums[user] / counts[user] for user in sums], dtype=np.float64)
        last = number == len(every)
        if not last and normal_half_width(values, look) >= precision:
            continue  # the interval itself takes longer to compute
        found = decide(values, rule, look=look, nights=number, seed=seed)
        if last or (found.half_width is not None and found.half_width < precision):
            break
    return found


def decide_night(folder: Path, tonight: Night, rule: Rule, *, seed: int = 0) -> Pooled:
    """The decision on a night and those of its pool that are kept in a folder, in which the night is then kept with its outcome.

    Of several processes that compare at the same time, each waits until the one before has kept its night, so that none is lost
    and every look is counted.

    Args:
        rule, seed: as in `pooled`.

    Raises:
        OSError: the folder cannot be written to.
    """
    with locked(folder / _LOCK):
        earlier = read_nights(folder)
        decision = pooled(earlier, tonight, rule, seed=seed)
        write_nights(folder, [*earlier, replace(tonight, outcome=str(decision.outcome))])
    return decision
