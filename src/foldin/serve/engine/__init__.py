"""What answers: models in service, their queues, and lists, without HTTP."""

__all__: list[str] = []
