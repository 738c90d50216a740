"""Whether a training may write to a folder, or continue in it."""

from pathlib import Path

from foldin.errors import RunError
from foldin.runs import check_target, is_finished
from foldin.training import CHECKPOINT

__all__ = ["check_folder"]


def check_folder(folder: Path, *, resume: bool) -> None:
    """Check that a run can be written to a folder, or continued in it.

    Args:
        resume: whether an interrupted training is to be continued.

    Raises:
        RunError: it cannot: the folder holds a finished run, something else, or an interrupted training that is not continued.
    """
    unfinished = (folder / CHECKPOINT).exists()
    if is_finished(folder) and not (resume and unfinished):
        raise RunError(f"{folder}: holds a finished run; give another folder, or remove it first")
    if unfinished and not resume:
        raise RunError(f"{folder}: holds an unfinished run; continue it with --resume, or remove it first")
    if not unfinished:
        check_target(folder)
