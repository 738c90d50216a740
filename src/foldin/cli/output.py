"""Output of commands: tables or one JSON object on standard output, progress on standard error."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from foldin.tensors import Tensor
from foldin.training import EpochRecord, GradientPhase, Trainer
from foldin.training import Progress as FitProgress

__all__ = ["FitBar", "err", "json_out", "line_width", "out", "status", "table", "working"]

_LINE, _UNBROKEN = 160, 10_000  # characters of a line that is not on a terminal: of a table to read, and of any
_LEAST = 12  # characters of a column of words, where it has as many


def out() -> Console:
    """Standard output; when it is not a terminal, nothing is broken over lines: what follows in a pipe reads lines."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=_UNBROKEN)


def line_width(console: Console) -> int:
    """Number of characters that a table whose columns may be left out should take."""
    return _LINE if console.width == _UNBROKEN else console.width


def err() -> Console:
    """Standard error, for progress and notes."""
    return Console(stderr=True, highlight=False, markup=False)


def json_out(content: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(content, indent=1, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, left: int = 1) -> Table:
    """A plain table; the first `left` columns are left-aligned, the others right-aligned. Text is not parsed as markup."""
    found, whole = list(rows), not out().is_terminal  # a title is otherwise broken where the body of the table ends
    shown = Text(title, style="bold", no_wrap=whole, overflow="ignore" if whole else None)
    made = Table(title=shown, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        cells = [one if isinstance(one, str) else one.plain for one in (name, *(row[place] for row in found))]
        # A column of words may be folded, but not to nothing.
        least = min(_LEAST, max(map(cell_len, cells))) if place < left else None
        made.add_column(Text(name), justify="left" if place < left else "right", no_wrap=place >= left, min_width=least)
    for row in found:
        made.add_row(*(Text(one) if isinstance(one, str) else one for one in row))
    return made


def status(message: str) -> None:
    """Print a note on standard error."""
    console = err()
    console.print(message, style="dim" if console.is_terminal else "", soft_wrap=True)


@contextmanager
def working(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar for a count of known or unknown length on a terminal; nothing elsewhere."""
    if not err().is_terminal:
        yield lambda _done, _total: None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err(),
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class FitBar(FitProgress):
    """Progress of training: a bar with loss terms and metric on a terminal, a line every few seconds elsewhere.

    Args:
        lines: whether lines are printed where there is no terminal.
    """

    def __init__(self, name: str, metric: str, *, lines: bool = True) -> None:
        self.name, self.metric, self._lines = name, metric, lines
        self._of = name  # what is trained now
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._epochs, self._last, self._said, self._drawn = 1, "", 0.0, 0.0
        self._steps: dict[str, int] = {}
        self._trainer: Trainer[Any] | None = None

    def __enter__(self) -> "FitBar":
        if err().is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[info]}"),
                TimeRemainingColumn(),
                console=err(),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def pretraining(self, name: str) -> None:
        self._of, self._last = f"{self.name}, {name}" if name else self.name, ""
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._epochs, self._trainer = epochs, trainer
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(self._of, total=float(epochs), completed=done, info="")
        if done:
            status(f"{self._of}: continues after epoch {done}")

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        now = time.monotonic()
        if self._bar is None or self._task is None or now - self._drawn < 0.1:
            return
        self._drawn = now
        shown = "  ".join(f"{name} {float(value):.1f}" for name, value in terms.items())
        self._bar.update(self._task, info=f"{phase} {done}/{total}  {shown}  {self._last}")

    def epoch(self, record: EpochRecord) -> None:
        figure = "" if record.metric is None else f"{self.metric} {record.metric:.4f}{' *' if record.best else ''}"
        speed = "" if record.users_per_second is None else f"{record.users_per_second:,.0f} users/s"
        self._last = "  ".join(part for part in (figure, speed) if part)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=record.epoch)
        elif self._lines and self._epochs > 1 and (time.monotonic() - self._said > 5 or record.epoch == self._epochs):
            self._said = time.monotonic()
            gradient = self._trainer is not None and any(isinstance(p, GradientPhase) for p in self._trainer.phases)
            terms = "  ".join(f"{k.split('/')[-1]} {v:.1f}" for k, v in record.terms.items() if "/loss" not in k)
            status(f"{self._of}: epoch {record.epoch}/{self._epochs}  {terms if gradient else ''}  {self._last}")
