"""The progress of work in Python: a bar in terminals and notebooks, and lines of the logger `foldin` elsewhere."""

import builtins
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from foldin.tensors import Tensor
from foldin.training import EpochRecord, Progress, Trainer

__all__ = ["Showing", "counting", "interactive", "open_bar"]

_log = logging.getLogger("foldin")


class Showing(Progress):
    """A bar over epochs, and a line of the logger for each.

    Args:
        name: name of the model.
        metric: name of the validation metric.
        bar: whether to show a bar; None to show one on a terminal and in a notebook.
    """

    def __init__(self, name: str, metric: str, *, bar: bool | None = None) -> None:
        self.name, self.metric = name, metric
        self._wanted = interactive() if bar is None else bar
        self._bar: Any = None
        self._done = 0.0

    def pretraining(self, name: str) -> None:
        self.close()
        if name:
            _log.info("%s: trains %s first", self.name, name)

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._done = float(done)
        many, after = "" if epochs == 1 else "s", f", after {done}" if done else ""
        _log.info("%s: training of %d epoch%s%s", self.name, epochs, many, after)
        if self._wanted:
            self._bar = open_bar(self.name, epochs, done, "epochs")

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        if self._bar is not None and total:
            self._bar.update(max(0.0, min(self._done + 1.0, self._done + done / total) - self._bar.n))

    def epoch(self, record: EpochRecord) -> None:
        shown = {name: f"{value:.4g}" for name, value in record.terms.items()}
        if record.metric is not None:
            shown[self.metric] = f"{record.metric:.4f}"
        # A closed form has neither terms nor a metric.
        said = ", ".join(f"{a} {b}" for a, b in shown.items()) or f"{record.seconds:.1f} s"
        _log.info("%s: epoch %d: %s", self.name, record.epoch, said)
        self._done = float(record.epoch)
        if self._bar is not None:
            self._bar.update(self._done - self._bar.n)
            self._bar.set_postfix(shown)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def counting(name: str, unit: str, *, bar: bool | None = None) -> Iterator[Callable[[int, int], None]]:
    """A bar over a count: a context that gives a function, to be called with (done, total).

    Args:
        name: what is done.
        unit: what is counted, in the plural.
        bar: as in `Showing`.
    """
    wanted = interactive() if bar is None else bar
    opened: list[Any] = []

    def say(done: int, total: int) -> None:
        if wanted and not opened:
            opened.append(open_bar(name, total, 0, unit, digits=".0f"))
        for one in opened:
            one.update(done - one.n)

    try:
        yield say
    finally:
        for one in opened:
            one.close()


def open_bar(name: str, total: float, done: float, unit: str, *, digits: str = ".3g") -> Any:
    """A bar on standard error, or a widget in a notebook; `digits` is the format of what is done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about widgets that a notebook lacks
        from tqdm.auto import tqdm
    form = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| {{n:{digits}}} of {{total:g}} {unit} [{{elapsed}}<{{remaining}}{{postfix}}]"
    return tqdm(total=total, initial=done, desc=name, bar_format=form, file=sys.stderr)


def interactive() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    shell = getattr(builtins, "get_ipython", None)
    return bool(sys.stderr.isatty()) or (shell is not None and type(shell()).__name__ == "ZMQInteractiveShell")
