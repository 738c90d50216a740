"""Guard rails of a split: the time of lists and the number of those that failed, by the arm of the user.

They are metrics, so that an arm whose lists are late or fail is seen at once, before its outcome is known.
"""

import time

from foldin.errors import ConfigError, OverloadedError
from foldin.serve.engine.routing import RoutedRequest
from foldin.serve.engine.split import Arm
from foldin.serve.telemetry import Telemetry

__all__ = ["GuardRails"]

# The first entry that fits gives the reason.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "late"),
    (OverloadedError, "overloaded"),
    (ConfigError, "refused"),
)


class GuardRails:
    """Counts lists and their failures by arm and model.

    The arm is the model to which the split assigned the user, and empty where no split did; another model answers if that of the
    arm is not in service.

    Args:
        telemetry: where they are counted.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry

    def made(self, routed: RoutedRequest) -> None:
        """Count a list that is made, with the seconds since its request was routed to a model."""
        seconds = time.perf_counter() - routed.since
        self.telemetry.took(_arm(routed.arm), routed.deployment.name, seconds)

    def failed(self, arm: Arm | None, model: str, error: Exception) -> None:
        """Count a list that a model could not make, whether or not a list for all users answered in its place."""
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "error")
        self.telemetry.failed(_arm(arm), model, reason)


def _arm(arm: Arm | None) -> str:
    return "" if arm is None else arm.model
