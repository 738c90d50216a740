"""Items as sequences of tokens that a transformer generates."""

__all__: list[str] = []
