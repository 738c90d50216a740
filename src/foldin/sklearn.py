"""Estimators with the conventions of scikit-learn: thin wrappers of `foldin.inference` (extra `sklearn`).

They work in pipelines, grid searches and cross-validation: parameters are arguments of the constructor, names of learned
attributes end with an underscore, and `random_state` seeds all draws.
"""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from foldin import inference

__all__ = ["FactorAnalysis", "GaussianMixture"]


def _generator(random_state: Any) -> np.random.Generator:
    """A NumPy generator seeded by a `random_state` of scikit-learn."""
    return np.random.default_rng(check_random_state(random_state).randint(0, 2**31 - 1, size=4).tolist())


def _points(estimator: Any, X: Any, *, reset: bool, features: int = 1) -> Any:
    return validate_data(
        estimator, X, dtype=np.float64, reset=reset, ensure_min_samples=2 if reset else 1, ensure_min_features=features
    )


class GaussianMixture(DensityMixin, BaseEstimator):
    """A mixture of Gaussians by EM; see `foldin.inference.GaussianMixture`.

    Args:
        n_components: number of Gaussians.
        covariance: "full", "tied", "diagonal" or "spherical".
        floor: least variance in any direction, as a share of that within the clusters that EM begins with.
        n_init: number of starts, of which the one with the highest likelihood is kept.
        max_iter: maximum number of iterations.
        tol: gain in nats per point below which EM has converged.
        random_state: seed, or generator, of the starts.

    Attributes:
        weights_: weight of each component, shape (n_components,).
        means_: mean of each component, shape (n_components, n_features).
        lower_bounds_: log-likelihood of the data before each iteration and at the end, in nats.
        converged_: whether EM converged.
        n_iter_: number of iterations.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance: str = "full",
        floor: float = 1e-6,
        n_init: int = 1,
        max_iter: int = 200,
        tol: float = 1e-6,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance = covariance
        self.floor = floor
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "GaussianMixture":
        """Fit the mixture.

        Args:
            X: points, shape (n_samples, n_features).
            y: ignored.
        """
        X = _points(self, X, reset=True)
        if len(X) < self.n_components:
            raise ValueError(f"n_samples = {len(X)} is less than n_components = {self.n_components}")
        self.mixture_ = inference.GaussianMixture(
            self.n_components, X.shape[1], covariance=self.covariance, floor=self.floor
        )
        result = self.mixture_.fit(
            inference.Points(X),
            _generator(self.random_state),
            restarts=self.n_init,
            iterations=self.max_iter,
            tolerance=self.tol,
        )
        self.lower_bounds_, self.converged_ = np.array(result.lower_bounds), result.converged
        self.n_iter_ = len(result.lower_bounds) - 1
        self.weights_, self.means_ = self.mixture_.weights, self.mixture_.means
        return self

    def score_samples(self, X: Any) -> Any:
        """log p(x) of each point, in nats."""
        check_is_fitted(self)
        return self.mixture_.log_prob(_points(self, X, reset=False))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log p(x) of the points, in nats."""
        return float(self.score_samples(X).mean())

    def predict_proba(self, X: Any) -> Any:
        """Responsibility of each component for each point, shape (n_samples, n_components)."""
        check_is_fitted(self)
        return self.mixture_.responsibilities(_points(self, X, reset=False))

    def predict(self, X: Any) -> Any:
        """The most probable component of each point."""
        return self.predict_proba(X).argmax(axis=1)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Points drawn from the mixture, shape (n_samples, n_features)."""
        check_is_fitted(self)
        return self.mixture_.sample(n_samples, _generator(random_state))


class FactorAnalysis(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Factor analysis, or probabilistic PCA, by EM; see `foldin.inference.FactorAnalysis`.

    Args:
        n_components: number of factors, fewer than features.
        isotropic: whether all features have one noise variance: probabilistic PCA.
        max_iter: maximum number of iterations.
        tol: gain in nats per point below which EM has converged.
        random_state: seed, or generator, of the first loadings.

    Attributes:
        components_: loadings, shape (n_components, n_features).
        mean_: mean, shape (n_features,).
        noise_variance_: noise variance of each feature, shape (n_features,).
        lower_bounds_: log-likelihood of the data before each iteration and at the end, in nats.
        n_iter_: number of iterations.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        isotropic: bool = False,
        max_iter: int = 1000,
        tol: float = 1e-8,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.isotropic = isotropic
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "FactorAnalysis":
        """Fit the loadings.

        Args:
            X: points, shape (n_samples, n_features).
            y: ignored.
        """
        X = _points(self, X, reset=True, features=2)
        if not 1 <= self.n_components < X.shape[1]:
            raise ValueError(f"n_components = {self.n_components}: must be ≥ 1 and < n_features = {X.shape[1]}")
        analysis = inference.FactorAnalysis(self.n_components, X.shape[1], isotropic=self.isotropic)
        result = analysis.fit(X, _generator(self.random_state), iterations=self.max_iter, tolerance=self.tol)
        self.analysis_, self.lower_bounds_ = analysis, np.array(result.lower_bounds)
        self.components_, self.mean_, self.noise_variance_ = analysis.loadings.T, analysis.mean, analysis.noise
        self.n_iter_ = len(result.lower_bounds) - 1
        return self

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def transform(self, X: Any) -> Any:
        """E[z | x] of each point, shape (n_samples, n_components)."""
        check_is_fitted(self)
        return self.analysis_.posterior(_points(self, X, reset=False))[0]

    def get_covariance(self) -> Any:
        """The model's covariance, W Wᵀ + Ψ, shape (n_features, n_features)."""
        check_is_fitted(self)
        return self.components_.T @ self.components_ + np.diag(self.noise_variance_)

    def score_samples(self, X: Any) -> Any:
        """log p(x) of each point, in nats."""
        check_is_fitted(self)
        return self.analysis_.log_prob(_points(self, X, reset=False))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log p(x) of the points, in nats."""
        return float(self.score_samples(X).mean())
