"""The contract of models that are trained on a sample of the catalog, in both number formats."""

import pytest

from foldin.models import MODELS, SampledMultinomial, SmoothedNegatives
from foldin.testing import RecommenderContract
from tests.small import SETTINGS


def contract(name: str, precision: str) -> type[RecommenderContract]:
    loss = SampledMultinomial(negatives=SmoothedNegatives(n=8), precision=precision)
    config = MODELS[name]().with_settings({**SETTINGS[name], "loss": loss})
    found = type(
        f"TestSampled{MODELS[name].model_class.__name__}_{precision}", (RecommenderContract,), {"config": config}
    )
    return found if (name, precision) == ("multdae", "bfloat16") else pytest.mark.long(found)


for one in ("multdae", "multvae", "recvae", "l-diffrec"):
    for kind in ("float32", "bfloat16"):
        made = contract(one, kind)
        globals()[made.__name__] = made
del made
