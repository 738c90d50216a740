"""Models of the order of events: SASRec."""

__all__: list[str] = []
