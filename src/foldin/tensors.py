"""Names of axes and the array types used in signatures.

    users      users of one batch or table           events     (user, item) pairs, user by user
    offsets    users + 1 positions in `events`        items      the catalog
    hidden     width of a hidden layer                latent     width of z
    k          length of a recommended list           lists      logged lists, any number of each context
    contexts   distinct contexts of logged lists      arms       variants of an experiment
    clusters   groups of lists that depend on each other, such as those of a user
    pool       candidates for one user's list         rules      business rules of a list

Shapes are written with jaxtyping: `Float[Tensor, "users items"]`. Under pytest they are checked with beartype.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Int64, Shaped, UInt8
from torch import Tensor

Array = np.ndarray

__all__ = ["Array", "Bool", "Float", "Float32", "Float64", "Int", "Int32", "Int64", "Shaped", "Tensor", "UInt8"]
