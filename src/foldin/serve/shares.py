"""The shares of users in a split between models."""

from collections.abc import Mapping

from foldin.errors import ConfigError

__all__ = ["check_shares"]


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise unless shares by name of the model are positive and add up to 1, or are empty, which ends a split.

    Raises:
        ConfigError: they are not.
    """
    if shares and (min(shares.values()) <= 0 or abs(sum(shares.values()) - 1.0) > 1e-6):
        raise ConfigError(f"models: shares must be positive and add up to 1, not {dict(shares)}")
