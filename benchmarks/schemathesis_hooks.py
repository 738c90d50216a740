"""How schemathesis writes the bodies that it does not know; it imports this file, in its own environment."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """An object a line; text as it is."""
    if isinstance(value, str | bytes):
        return value if isinstance(value, bytes) else value.encode()
    values = value if isinstance(value, list) else [value]
    return "".join(f"{json.dumps(one)}\n" for one in values).encode()
