"""When a trial of a search is given up: a rule that does not mistake slow learning for bad settings.

To compare trials after equally many epochs favors large learning rates and deep networks, which are ahead early and often behind
in the end. Here a trial is compared with the curves of those that ended best, each given half the epochs.
"""

from collections.abc import Mapping, Sequence

__all__ = ["is_hopeless"]

_BEST = 5  # finished trials to compare with
_SLOWER = 2.0  # times as many epochs as they that a trial may need


def is_hopeless(
    curve: Mapping[int, float], finished: Sequence[tuple[float | None, Mapping[int, float]]], epoch: int
) -> bool:
    """Whether a trial, after some epochs, is behind what each of the five best finished trials was after half as many.

    Never with fewer than five finished trials.

    Args:
        curve: epoch → metric of the trial; larger is better.
        finished: (final metric, epoch → metric) of finished trials; those without a curve, such as closed forms, are left out.
        epoch: number of epochs of the trial so far.
    """
    curves = sorted(((value, one) for value, one in finished if value is not None and one), key=lambda pair: -pair[0])
    if len(curves) < _BEST:
        return False
    own = _best_until(curve, epoch)
    return all(own < _best_until(one, epoch / _SLOWER) for _, one in curves[:_BEST])


def _best_until(curve: Mapping[int, float], epoch: float) -> float:
    """The best metric of a curve until an epoch; −∞ before its first one."""
    return max((value for at, value in curve.items() if at <= epoch), default=float("-inf"))
