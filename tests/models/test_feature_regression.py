"""The regression on features: against scikit-learn, with more columns than items and with fewer."""

import numpy as np
import pytest
import scipy.sparse

from foldin.errors import FitError
from foldin.models.feature_regression import regression_weights


@pytest.mark.parametrize("columns", [3, 40])
def test_predictions_are_those_of_ridge_regression(columns):
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    features = scipy.sparse.random_array((30, columns), density=0.3, rng=rng, format="csr", dtype=np.float32)
    known = rng.random(30) < 0.7
    values = rng.normal(size=(int(known.sum()), 4))
    weights = regression_weights(features, known, 0.7)
    assert weights.shape == (known.sum(), (~known).sum())
    peer = linear.Ridge(alpha=0.7).fit(features.toarray()[known].astype(np.float64), values)
    assert np.allclose(weights.T @ values, peer.predict(features.toarray()[~known]), atol=1e-8)


def test_an_item_without_features_is_the_mean_item_and_something_must_be_known():
    features = scipy.sparse.csr_array(np.array([[1.0], [-1.0], [0.0]], np.float32))
    assert np.allclose(regression_weights(features, np.array([True, True, False]), 1.0), 0.5)
    with pytest.raises(FitError, match="no item has a training event"):
        regression_weights(features, np.zeros(3, bool), 1.0)
