"""A range of numbers that a search over settings draws from."""

from dataclasses import dataclass

from foldin.errors import ConfigError

__all__ = ["Range"]

_DIGITS = 3  # significant digits of a number that is drawn


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both inclusive; only whole numbers if both ends are whole.

    Args:
        low: lower end.
        high: upper end.
        log: whether a search draws them uniformly on a logarithmic scale.

    Raises:
        ConfigError: the range is empty, or logarithmic and not above 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"range {self}: the lower end must be below the upper one")
        if self.log and self.low <= 0:
            raise ConfigError(f"range {self}: a logarithmic range must lie above 0")

    @property
    def whole(self) -> bool:
        """Whether the range holds only whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def text(self, value: float) -> str:
        """A number in the syntax of `--set`, rounded to three significant digits, or to a whole number, and kept in the range."""
        if self.whole:
            return str(round(value))
        return repr(min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high))

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}{':log' if self.log else ''}"
