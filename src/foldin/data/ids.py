"""External ids as the text that stands for them inside foldin."""

from decimal import Decimal
from typing import Any

import numpy as np

from foldin.errors import DataError

__all__ = ["id_text"]


def id_text(one: Any) -> str:
    """The text of an id of any type: whole numbers have no point, whatever their type, as in a log that is read.

    Raises:
        DataError: a floating-point number so large that several whole numbers are rounded to it.
    """
    if isinstance(one, float | np.floating):
        if np.isfinite(one) and abs(float(one)) >= 2.0 ** (np.finfo(type(one)).nmant + 1):
            raise DataError(
                f"the id {one:.0f} is a floating-point number, to which several whole numbers are rounded; give it as an "
                "integer or text"
            )
        return str(int(one)) if float(one).is_integer() else str(one)
    if isinstance(one, Decimal):
        return str(int(one)) if one.is_finite() and one == int(one) else str(one)
    return str(one)
