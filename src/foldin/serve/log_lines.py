"""The service's log on standard error, a JSON object a line; the lines of a moment are written together.

Writing each line by itself, which wakes whoever reads it, took a seventh of the time of a list.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["DELAY", "LineHandler", "logged"]

logger = logging.getLogger("foldin.serve")

# What a record of `logging` asks of the process, which no line has; it is half of the time of making one.
_UNUSED = ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks")
DELAY = 0.05  # seconds for which the line of a request waits for others


class LineHandler(logging.Handler):
    """Writes lines to a stream: those below a warning that an event loop logs together, after `DELAY`; all others at once.

    Lines keep their order. A process that is killed loses those that wait.

    Args:
        stream: where the lines go; an error of it is ignored, since there is no other place to tell it.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that will write the lines that wait

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, and write what is kept unless it may wait."""
        try:
            self._lines.append(self.format(record))
        except Exception:  # as every handler of `logging`: who logs is not stopped by a line that has no form
            self.handleError(record)
            return
        loop = None if record.levelno >= logging.WARNING else _running()
        if loop is None:
            self.flush()
        elif self._loop is None or self._loop.is_closed():
            self._loop = loop
            loop.call_later(DELAY, self.flush)

    def flush(self) -> None:
        """Write the lines that wait."""
        self.acquire()
        try:
            lines, self._lines, self._loop = self._lines, [], None
            if lines:
                with contextlib.suppress(OSError, ValueError):
                    self.stream.write("\n".join(lines) + "\n")
                    self.stream.flush()
        finally:
            self.release()


@contextmanager
def logged() -> Iterator[None]:
    """A context in which the service's log goes to standard error."""
    handler = LineHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    before = {name: getattr(logging, name) for name in _UNUSED if hasattr(logging, name)}
    for name in before:
        setattr(logging, name, False)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(logging, name, value)
        logger.removeHandler(handler)
        handler.flush()


def _running() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
