"""foldin's own contract, for a model of another package."""

from own_model import MarkovChainConfig

from foldin.testing import RecommenderContract


class TestMarkovChain(RecommenderContract):
    config = MarkovChainConfig()
