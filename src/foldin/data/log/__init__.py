"""How a log is read: formats, columns, encodings, times, and what is checked."""

__all__: list[str] = []
