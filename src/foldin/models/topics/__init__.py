"""Mixtures and topics: EM and variational inference over histories."""

__all__: list[str] = []
