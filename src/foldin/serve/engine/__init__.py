"""The engine of the service, independent of HTTP: models in service, their queues, and lists."""

__all__: list[str] = []
