"""Names of axes and the array types used in signatures.

    users      people of one batch or table           events     (person, item) pairs, person by person
    offsets    users + 1 positions in `events`        items      the catalogue
    hidden     width of a hidden layer                latent     width of z
    k          length of a recommended list

Shapes are written with jaxtyping: `Float[Tensor, "users items"]`. Under pytest they are checked with beartype.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Int64, Shaped
from torch import Tensor

Array = np.ndarray

__all__ = ["Array", "Bool", "Float", "Float32", "Float64", "Int", "Int32", "Int64", "Shaped", "Tensor"]
