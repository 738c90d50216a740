"""The log and the split that a run was trained on."""

from dataclasses import replace

from foldin.data import Source, Split
from foldin.data.log.urls import is_file_url, is_url, until_of, with_until
from foldin.errors import RunError
from foldin.experiment.trained import source_from
from foldin.runs import Run

__all__ = ["source_of_run", "split_of_run"]


def source_of_run(run: Run) -> Source | None:
    """Where a run's log came from and how it was read; None for a run that was saved without a source.

    Raises:
        RunError: the stored source cannot be used.
    """
    stored = run.info.get("source")
    return source_from(stored, str(run.folder)) if stored else None


def split_of_run(run: Run, path: str | None) -> Split:
    """The split a run was trained on, read again and checked.

    Args:
        path: path of the log, if it has moved or if the run has no source.

    Raises:
        RunError: the log is another one, or neither the run nor `path` gives it.
    """
    source = source_of_run(run)
    if source is None and path is None:
        raise RunError(
            f"{run.folder}: the run has no source: it does not say which log it was trained on; name it with --data "
            "(in Python: explain(data=…))"
        )
    fingerprint = run.info.get("fingerprint")
    if fingerprint is None:
        raise RunError(
            f"{run.folder}: the run has no fingerprint of its log, so no log can be recognized as the one it was trained on"
        )
    if source is None:
        source = Source(path="", protocol=run.info.get("protocol"), seed=run.info.get("split_seed") or 0)
    if path is not None:
        store = is_url(source.path) and not is_file_url(source.path)
        until = until_of(source.path)[1] if store else None
        # The store may have moved, and has grown: the run knows the events up to that number.
        source = replace(source, path=path if until is None or not is_url(path) else with_until(path, until))
    split = source.split()
    if split.fingerprint() != fingerprint:
        raise RunError(
            f"{run.folder}: the log at {source.shown} is not the one it was trained on; name that with --data "
            "(in Python: explain(data=…))"
        )
    return split
