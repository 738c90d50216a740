"""Estimators with the conventions of scikit-learn: thin wrappers of `foldin.inference` and of LDA (extra `sklearn`).

They work in pipelines, grid searches and cross-validation: parameters are arguments of the constructor, names of learned
attributes end with an underscore, and `random_state` seeds all draws.
"""

from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from foldin import inference
from foldin.data import Histories
from foldin.models.topics.lda import LDA, LDAConfig, LDATrainer

__all__ = ["FactorAnalysis", "GaussianMixture", "LatentDirichletAllocation"]


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


class LatentDirichletAllocation(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Latent Dirichlet allocation by variational Bayes over all samples; see `foldin.models.LDA`.

    Args:
        n_components: number of topics.
        doc_topic_prior: Dirichlet parameter of a sample's topics, α; None for 1 / n_components.
        topic_word_prior: Dirichlet parameter of a topic's features, η; None for 1 / n_components.
        max_iter: maximum number of passes over the samples.
        tol: relative gain of the bound below which training has converged.
        random_state: seed, or generator, of the first topics.

    Attributes:
        components_: Dirichlet parameters of the topics, λ, shape (n_components, n_features).
        lower_bounds_: bound on the log-likelihood of the counts before each pass, in nats.
        n_iter_: number of passes.
    """

    def __init__(
        self,
        n_components: int = 10,
        *,
        doc_topic_prior: float | None = None,
        topic_word_prior: float | None = None,
        max_iter: int = 100,
        tol: float = 1e-5,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.doc_topic_prior = doc_topic_prior
        self.topic_word_prior = topic_word_prior
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any = None) -> "LatentDirichletAllocation":
        """Fit the topics.

        Args:
            X: counts ≥ 0, shape (n_samples, n_features); they need not be whole numbers.
            y: ignored.
        """
        histories = self._histories(X, reset=True)
        config = LDAConfig(n_components=self.n_components, alpha=self.doc_topic_prior, eta=self.topic_word_prior)
        seed = int(check_random_state(self.random_state).randint(0, 2**31 - 1))
        self.model_ = LDA(histories.n_items, config, seed=seed)
        trainer, bounds = LDATrainer(self.model_), []
        for _ in range(self.max_iter):
            bounds.append(trainer.ascend(histories, weighted=True))
            if len(bounds) > 1 and bounds[-1] - bounds[-2] < self.tol * abs(bounds[-1]):
                break
        self.lower_bounds_, self.n_iter_ = np.array(bounds), len(bounds)
        self.components_ = self.model_.topics.numpy().T
        return self

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def transform(self, X: Any) -> Any:
        """Expected share of each topic in each sample, shape (n_samples, n_components)."""
        check_is_fitted(self)
        found = self.model_.tastes(self._histories(X, reset=False), weighted=True)
        return found / found.sum(axis=1, keepdims=True)

    def _histories(self, X: Any, *, reset: bool) -> Histories:
        """Counts as events: one for each count above 0, with the count as its value."""
        X = validate_data(self, X, dtype=np.float64, accept_sparse="csr", reset=reset)
        counts = scipy.sparse.csr_matrix(X)
        if counts.nnz and counts.data.min() < 0:
            raise ValueError("Negative values in data passed to LatentDirichletAllocation")
        counts.eliminate_zeros()
        return Histories(
            items=counts.indices.astype(np.int32),
            offsets=counts.indptr.astype(np.int64),
            n_items=counts.shape[1],
            values=counts.data.astype(np.float32),
        )
