"""The progress of a training in Python: a bar in terminals and notebooks, and lines of the logger `foldin` elsewhere."""

import builtins
import logging
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from foldin.tensors import Tensor
from foldin.training import EpochRecord, Progress, Trainer

__all__ = ["Showing"]

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
        self._wanted = _interactive() if bar is None else bar
        self._bar: Any = None
        self._done = 0.0

    def pretraining(self, name: str) -> None:
        self.close()
        if name:
            _log.info("%s: trains %s first", self.name, name)

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._done = float(done)
        _log.info("%s: training of %d epochs%s", self.name, epochs, f", after {done}" if done else "")
        if self._wanted:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about widgets that a notebook lacks
                from tqdm.auto import tqdm
            form = "{desc}: {percentage:3.0f}%|{bar}| {n:.3g} of {total} epochs [{elapsed}<{remaining}{postfix}]"
            self._bar = tqdm(total=epochs, initial=done, desc=self.name, bar_format=form, file=sys.stderr)

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        if self._bar is not None and total:
            self._bar.update(max(0.0, min(self._done + 1.0, self._done + done / total) - self._bar.n))

    def epoch(self, record: EpochRecord) -> None:
        shown = {name: f"{value:.4g}" for name, value in record.terms.items()}
        if record.metric is not None:
            shown[self.metric] = f"{record.metric:.4f}"
        _log.info("%s: epoch %d: %s", self.name, record.epoch, ", ".join(f"{a} {b}" for a, b in shown.items()))
        self._done = float(record.epoch)
        if self._bar is not None:
            self._bar.update(self._done - self._bar.n)
            self._bar.set_postfix(shown)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _interactive() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    shell = getattr(builtins, "get_ipython", None)
    return bool(sys.stderr.isatty()) or (shell is not None and type(shell()).__name__ == "ZMQInteractiveShell")
