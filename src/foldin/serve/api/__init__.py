"""The HTTP interface, with a router for each resource."""

__all__: list[str] = []
