"""External ids as the text that stands for them inside foldin."""

from decimal import Decimal
from typing import Any

import numpy as np

__all__ = ["id_text"]


def id_text(one: Any) -> str:
    """The text of an id of any type: whole numbers have no point, whatever their type, as in a log that is read."""
    if isinstance(one, float | np.floating):
        return str(int(one)) if float(one).is_integer() else str(one)
    if isinstance(one, Decimal):
        return str(int(one)) if one.is_finite() and one == int(one) else str(one)
    return str(one)
