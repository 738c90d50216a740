"""The numerical exercises of all chapters, and the checker of answers."""

import importlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from foldin.book.equations import chapters
from foldin.book.exercise import Exercise
from foldin.errors import ConfigError

__all__ = ["EXERCISES", "Verdict", "check"]


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right; what it says of itself gives the value only if it is."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text


def _exercises() -> dict[str, Exercise]:
    """Every numerical exercise by chapter and number, from the modules in `answers/`."""
    found: dict[str, Exercise] = {}
    for name in chapters():
        module = name.replace("-", "_")
        if resources.files("foldin.book.answers").joinpath(f"{module}.py").is_file():
            own: dict[int, Exercise] = importlib.import_module(f"foldin.book.answers.{module}").EXERCISES
            found |= {f"{name}/{number}": one for number, one in own.items()}
    return found


EXERCISES = _exercises()


def check(exercise: str, answer: Any) -> Verdict:
    """Whether an answer to a numerical exercise is right.

    Args:
        exercise: chapter and number, as it stands on the page, such as `kl-decomposition/2`.
        answer: a number.

    Raises:
        ConfigError: there is no such exercise, or the answer is not a number.
    """
    if exercise not in EXERCISES:
        raise ConfigError(f"{exercise!r} is not an exercise with a checker; there are {', '.join(EXERCISES)}")
    try:
        number = float(answer)
    except (TypeError, ValueError):
        raise ConfigError(f"{exercise}: a number was expected, not {answer!r}") from None
    one = EXERCISES[exercise]
    value = one.value()
    unit = f" {one.unit}" if one.unit else ""
    off = abs(number - value)
    if off <= one.allowed:
        return Verdict(True, f"right: {value:.4f}{unit} (yours differs by {off:.4f}, and {one.allowed:g} is allowed)")
    side = "too large" if number > value else "too small" if number < value else "not a number"
    return Verdict(False, f"not yet: {number:g}{unit} is {side}; {one.hint}")
