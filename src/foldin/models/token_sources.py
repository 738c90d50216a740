"""Where the tokens of items come from, as settings: what is known of the items, and how it is quantized."""

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

SENTENCE_DIM = 384  # of a sentence model's vector


@dataclass(frozen=True, kw_only=True)
class ResidualKMeans(Option):
    """Levels of k-means, each of what those before left over."""

    name = "k-means"


@dataclass(frozen=True, kw_only=True)
class RQVAETokens(Option):
    """A residual-quantized autoencoder of the items' vectors."""

    name = "rq-vae"
    epochs: int = setting(200, "Passes over the items, at most.", low=1)


@dataclass(frozen=True, kw_only=True)
class TokenSource(Option):
    """Tokens of items, coarse to fine; one more level, of as many tokens, makes them unique."""

    levels: int = setting(3, "Tokens of an item, besides the one that makes them unique.", low=1, high=32)
    codebook_size: int = setting(256, "Tokens of each level.", low=2)


@dataclass(frozen=True, kw_only=True)
class RandomTokens(TokenSource):
    """Random tokens, which say nothing: the control."""

    name = "random"


@dataclass(frozen=True, kw_only=True)
class LearnedTokens(TokenSource):
    """Tokens of vectors of the items."""

    log: ClassVar[bool] = False  # whether vectors come from who took what together
    text: ClassVar[str | None] = None  # what is made of titles: `titles` (words) or `sentences` (a sentence model)

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
    """From who took what together."""

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
    """From both; items without an event by their titles alone."""

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
    """From both, the titles by a sentence model; items without an event by their titles alone."""

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
