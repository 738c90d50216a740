"""The setting by which vectors of items are free vectors plus a linear map of the items' features."""

from dataclasses import dataclass

from foldin.models.feature_regression import cold_factor_setting
from foldin.models.item_features import FeatureColumns
from foldin.training import Range, setting

__all__ = ["FeatureVectors"]


@dataclass(frozen=True, kw_only=True)
class FeatureVectors(FeatureColumns):
    """Vectors of items are free vectors plus a linear map of the items' features."""

    name = "vectors"
    dropout: float = setting(
        0.5,
        "Probability that an item's free vector is left out of a training step.",
        low=0,
        below=1,
        range=Range(0.0, 0.9),
    )
    cold_factor: float = cold_factor_setting()
