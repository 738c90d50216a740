"""The estimators keep scikit-learn's conventions, and give what its own give."""

import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis as TheirFactorAnalysis
from sklearn.decomposition import LatentDirichletAllocation as TheirLDA
from sklearn.mixture import GaussianMixture as TheirGaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from foldin.sklearn import FactorAnalysis, GaussianMixture, LatentDirichletAllocation


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        GaussianMixture(),
        GaussianMixture(2, covariance="diagonal"),
        FactorAnalysis(),
        FactorAnalysis(isotropic=True),
        LatentDirichletAllocation(2, max_iter=10),
    ]
)
def test_conventions(estimator, check):
    check(estimator)


@pytest.fixture(scope="module", name="X")
def points():
    rng = np.random.default_rng(0)
    centers = rng.normal(0.0, 5.0, (3, 4))
    return centers[rng.integers(3, size=600)] + rng.normal(0.0, 1.0, (600, 4))


def test_a_mixture_is_as_likely_as_theirs(X):
    ours = GaussianMixture(3, random_state=0).fit(X)
    theirs = TheirGaussianMixture(3, random_state=0, tol=1e-8, reg_covar=0.0, max_iter=1000).fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-5)
    assert np.allclose(ours.predict_proba(X).sum(axis=1), 1.0)
    assert (np.diff(ours.lower_bounds_) > -1e-6).all()
    assert ours.converged_


def test_factors_are_as_likely_as_theirs(X):
    ours = FactorAnalysis(2, random_state=0).fit(X)
    theirs = TheirFactorAnalysis(2, tol=1e-10, max_iter=5000, svd_method="lapack").fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-3)
    assert np.allclose(ours.get_covariance(), theirs.get_covariance(), atol=0.05)
    assert ours.transform(X).shape == (600, 2)


@pytest.fixture(scope="module", name="counts")
def words():
    """Counts of 30 words in texts that are mixtures of three topics."""
    rng = np.random.default_rng(0)
    topics = rng.dirichlet(np.full(30, 0.1), 3)
    shares = rng.dirichlet(np.full(3, 0.3), 200)
    return np.array([rng.multinomial(60, share @ topics) for share in shares])


@pytest.mark.long
def test_topics_are_as_likely_as_theirs(counts):
    ours = LatentDirichletAllocation(3, random_state=0).fit(counts)
    theirs = TheirLDA(3, random_state=0, max_iter=100, evaluate_every=1, perp_tol=1e-6).fit(counts)
    assert (np.diff(ours.lower_bounds_) > -1e-3 * abs(ours.lower_bounds_[0])).all()
    # Theirs gives the same bound, of its own parameters.
    assert ours.lower_bounds_[-1] == pytest.approx(theirs.score(counts), rel=0.02)
    shares = ours.transform(counts)
    assert np.allclose(shares.sum(axis=1), 1.0)
    agree = np.abs(shares[:, :, None] - theirs.transform(counts)[:, None, :]).mean(axis=0)
    assert agree.min(axis=1).max() < 0.05  # each of our topics is one of theirs


def test_every_count_is_in_some_topic_whole_or_not(counts):
    for factor in (1.0, 0.5):
        found = LatentDirichletAllocation(3, random_state=0, max_iter=5).fit(factor * counts)
        assert found.components_.sum() == pytest.approx(factor * counts.sum() + 3 * 30 / 3)


def test_they_fit_into_a_search_over_a_pipeline(X):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), GaussianMixture(random_state=0)),
        {"gaussianmixture__n_components": [1, 3]},
        cv=3,
    )
    assert search.fit(X).best_params_ == {"gaussianmixture__n_components": 3}
