"""Features of items or users as typed columns, and the sparse matrix that models learn from."""

__all__: list[str] = []
