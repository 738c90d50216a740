"""Reading of logs: formats, columns, encodings, times, and checks."""

__all__: list[str] = []
