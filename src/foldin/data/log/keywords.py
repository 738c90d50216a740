"""Advice in the words of the command line → in those of Python, for tables that have no command line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

from foldin.data.log.options import ReadOptions
from foldin.data.log.report import ReadReport
from foldin.errors import DataError

__all__ = ["advising_in_python", "report_in_python"]

_NAMES = {one.name.replace("_", "-"): one.name for one in fields(ReadOptions)} | {"weight": "weights"}
# A word behind an option is its value, unless the sentence goes on there.
_OPTION = re.compile(rf"--({'|'.join(_NAMES)})\b(?: (?!(?:needs|for|or|is|and|reads)\b)([\w%][\w%/-]*))?")


def _in_python(text: str) -> str:
    """A text with `user="NAME"` for `--user NAME`, and `user` for `--user`."""

    def keyword(found: re.Match[str]) -> str:
        name, value = _NAMES[found[1]], found[2]
        return name if value is None else f'{name}="{value}"'

    return _OPTION.sub(keyword, text).replace("in the order of the file", "in the order of the rows")


@contextmanager
def advising_in_python() -> Iterator[None]:
    """A context whose errors about data advise in the words of Python."""
    try:
        yield
    except DataError as error:
        raise type(error)(_in_python(str(error))) from error.__cause__


def report_in_python(report: ReadReport) -> ReadReport:
    """The report with notes that advise in the words of Python."""
    return replace(report, notes=tuple(replace(one, text=_in_python(one.text)) for one in report.notes))
