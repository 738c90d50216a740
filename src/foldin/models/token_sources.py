"""Sources of item tokens, as settings: the vectors of the items, and how these are quantized."""

from dataclasses import dataclass
from typing import ClassVar

from foldin.training import Option, setting

__all__ = [
    "FromLog",
    "FromLogAndSentences",
    "FromLogAndTitles",
    "FromSentences",
    "FromTitles",
    "LearnedTokens",
    "RQVAETokens",
    "RandomTokens",
    "ResidualKMeans",
    "TokenSource",
]

SENTENCE_DIM = 384  # width of a sentence model's vector


@dataclass(frozen=True, kw_only=True)
class ResidualKMeans(Option):
    """Levels of k-means, each on the residuals of the levels before it."""

    name = "k-means"


@dataclass(frozen=True, kw_only=True)
class RQVAETokens(Option):
    """A residual-quantized autoencoder of the items' vectors."""

    name = "rq-vae"
    epochs: int = setting(200, "Passes over the items, at most.", low=1)


@dataclass(frozen=True, kw_only=True)
class TokenSource(Option):
    """Tokens of items, coarse to fine; one further level with as many tokens makes them unique."""

    levels: int = setting(3, "Tokens of an item, besides the one that makes them unique.", low=1, high=32)
    codebook_size: int = setting(256, "Tokens of each level.", low=2)


@dataclass(frozen=True, kw_only=True)
class RandomTokens(TokenSource):
    """Random tokens without information about the items, as a control."""

    name = "random"


@dataclass(frozen=True, kw_only=True)
class LearnedTokens(TokenSource):
    """Tokens that quantize vectors of the items."""

    log: ClassVar[bool] = False  # whether vectors come from co-occurrence in histories
    text: ClassVar[str | None] = None  # encoder of titles: `titles` (words) or `sentences` (a sentence model)

    quantizer: ResidualKMeans | RQVAETokens = setting(ResidualKMeans(), "What makes tokens of the vectors.")

    @property
    def log_dim(self) -> int:
        """Width of a vector from the log; 0 without one."""
        return 0

    @property
    def text_dim(self) -> int:
        """Width of a vector from a title; 0 without one."""
        return 0


@dataclass(frozen=True, kw_only=True)
class FromLog(LearnedTokens):
    """From the co-occurrence of items in histories."""

    name = "log"
    log = True
    embedding_dim: int = setting(64, "Width of an item's vector.", low=1)

    @property
    def log_dim(self) -> int:
        return self.embedding_dim


@dataclass(frozen=True, kw_only=True)
class FromTitles(LearnedTokens):
    """From the words of the titles."""

    name = "titles"
    text = "titles"
    embedding_dim: int = setting(64, "Width of a title's vector.", low=1)

    @property
    def text_dim(self) -> int:
        return self.embedding_dim


@dataclass(frozen=True, kw_only=True)
class FromSentences(LearnedTokens):
    """From the titles, by a sentence model."""

    name = "sentences"
    text = "sentences"

    @property
    def text_dim(self) -> int:
        return SENTENCE_DIM


@dataclass(frozen=True, kw_only=True)
class FromLogAndTitles(LearnedTokens):
    """From co-occurrence and from the words of the titles; items without events by their titles alone."""

    name = "log+titles"
    log = True
    text = "titles"
    embedding_dim: int = setting(64, "Width of each of an item's two vectors.", low=1)

    @property
    def log_dim(self) -> int:
        return self.embedding_dim

    @property
    def text_dim(self) -> int:
        return self.embedding_dim


@dataclass(frozen=True, kw_only=True)
class FromLogAndSentences(LearnedTokens):
    """From co-occurrence and from the titles by a sentence model; items without events by their titles alone."""

    name = "log+sentences"
    log = True
    text = "sentences"
    embedding_dim: int = setting(64, "Width of an item's vector from the log.", low=1)

    @property
    def log_dim(self) -> int:
        return self.embedding_dim

    @property
    def text_dim(self) -> int:
        return SENTENCE_DIM
