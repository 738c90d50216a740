"""The bound report of a model after training or after loading, with a bar over its draws."""

from typing import Any

from foldin.data import Split
from foldin.experiment.showing import counting
from foldin.inference import Annealing
from foldin.reports import Explanation, Subject, explain

__all__ = ["explained"]


def explained(subject: Subject, split: Split, *, temperatures: int, progress: Any, **options: Any) -> Explanation:
    """The report of a model on the test users of a split.

    Args:
        temperatures: number of temperatures of annealed importance sampling.
        progress: called with (done, total); None for a bar in terminals and notebooks.
        options: as in `reports.explain`.
    """
    annealing = Annealing(temperatures=temperatures)
    with counting(f"explain {subject.name}", "draws") as bar:
        return Explanation(explain(subject, split, annealing=annealing, progress=progress or bar, **options))
