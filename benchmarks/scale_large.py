"""What a large log over a large catalog takes on many machines, by the formulas and the rates of this one."""

from collections.abc import Callable
from typing import Any

from scale_bytes import (
    Shape,
    Tables,
    als_bytes,
    blocks_of_users,
    ease_bytes,
    elsa_bytes,
    hnsw_bytes,
    inverted_file_bytes,
    popularity,
    preparing_bytes,
    sansa_bytes,
    shape_of,
    shard_bytes,
)
from scale_exchange import dense_exchange, ring_bytes, row_exchange, sharded_exchange, shared_shape
from scale_times import Rates, list_seconds, step_seconds, total

__all__ = ["large_case"]

GIGABITS = (1, 10, 25)  # of a link between machines: assumed, not measured
MEMORIES = (64, 256)  # GB of a machine: assumed
EVALUATED = 10_000  # users of a test
A_USER = 50  # events of a user, on average
SQUARES = 4.0 / 3.0  # mean square of a user's number of events over its squared mean, if it is uniform up to a largest
KINDS = ("full", "sampled", "bfloat16")


def large_case(
    rates: Rates,
    *,
    events: float,
    items: int,
    machines: int,
    dim: int,
    negatives: int,
    id_bytes: float,
    prepared: float,
    users_a_step: int = 500,
) -> dict[str, Any]:
    """Bytes and seconds of the parts of a training, of its exchange, and of lists.

    Args:
        dim: width of the scored table of Mult-VAE without hidden layers; the table that is read has twice as much.
        negatives: of a step.
        id_bytes: memory of an item's id in a catalog.
        prepared: seconds an event of preparing the log on one machine.
        users_a_step: users of a step on each machine.
    """
    users = events / A_USER
    shares = popularity(items)
    tables = {kind: Tables(items=items, read=2 * dim, scored=dim, kind=kind) for kind in KINDS}

    def shape(kind: str, several: int = 1) -> Shape:
        """Of a step whose batch has the users of several machines."""
        some = {"drawn": A_USER, "events": A_USER, "negatives": negatives}
        return shape_of(tables[kind], shares, users=users_a_step * several, **some)

    shapes = {kind: shape(kind) for kind in KINDS}
    steps = {kind: total(step_seconds(rates, tables[kind], shapes[kind])) for kind in KINDS}
    kinds = {
        kind: {
            "a_machine": sum(tables[kind].bytes().values()) + 4.0 * users_a_step * shapes[kind].scored_rows,
            "scores": 4.0 * users_a_step * shapes[kind].scored_rows,
            **tables[kind].bytes(),
            "an_item": sum(tables[kind].an_item.values()),
            "rows": {"read": shapes[kind].read_rows, "scored": shapes[kind].scored_rows},
            "step": steps[kind],
            "epoch_of_one": users / users_a_step * steps[kind],
            "most_items": {str(size): 1e9 * size / sum(tables[kind].an_item.values()) for size in MEMORIES},
        }
        for kind in KINDS
    }
    return {
        "sizes": {"events": events, "users": users, "items": items, "machines": machines, "dim": dim}
        | {"users_a_step": users_a_step, "evaluated": EVALUATED},
        "disk": {"shards": sum(shard_bytes(events, users).values()), "preparing": preparing_bytes(events)},
        "preparing": events * prepared,
        "ids": id_bytes * items,
        "kinds": kinds,
        "exchange": _exchange(rates, tables, shape, users / users_a_step, machines),
        "lists": _lists(rates, items, dim, users, machines),
        "models": {
            "ease": ease_bytes(items),
            "elsa": elsa_bytes(items, 256),
            **{f"sansa, {name}": one for name, one in sansa_bytes(items, 50, users * SQUARES * A_USER**2).items()},
            "als, 128": als_bytes(users, items, 128),
        },
        "indexes": {"HNSW32,SQ8": hnsw_bytes(items, dim), "IVF16384,SQ8": inverted_file_bytes(items, dim, 16_384)},
    }


def _exchange(
    rates: Rates, tables: dict[str, Tables], shape: Callable[..., Shape], epoch: float, machines: int
) -> dict[str, Any]:
    """Bytes that a machine receives in a step by each way, and seconds of the exchange and of an epoch by the speed of the links.

    Args:
        shape: function of a kind of tables and of a number of machines; returns the shape of the batch that these share.
        epoch: steps of an epoch on one machine.
    """

    def step(kind: str, several: int) -> float:
        return total(step_seconds(rates, tables[kind], shared_shape(shape(kind), shape(kind, several))))

    def rows(kind: str, several: int) -> float:
        return row_exchange(tables[kind], shape(kind), shape(kind, several), several)

    ways = {
        "dense": ("full", ring_bytes(dense_exchange(tables["full"]), machines), step("full", 1)),
        "rows": ("sampled", rows("sampled", machines), step("sampled", machines)),
        "rows, bfloat16": ("bfloat16", rows("bfloat16", machines), step("bfloat16", machines)),
        "sharded": ("sampled", sharded_exchange(tables["sampled"], shape("sampled"), machines), step("sampled", 1)),
    }
    found: dict[str, Any] = {}
    for way, (kind, received, own) in ways.items():
        links = {str(gigabits): received / (1e9 / 8.0 * gigabits) for gigabits in GIGABITS}
        found[way] = {"kind": kind, "bytes": received, "step": own, "seconds": links}
        found[way]["epoch"] = {name: epoch / machines * (own + one) for name, one in links.items()}
    found["several"] = {
        str(one): {"step": step("sampled", one), "bytes": rows("sampled", one)}
        for one in sorted({2, 4, 16, machines})
        if one <= machines
    }
    return found


def _lists(rates: Rates, items: int, dim: int, users: float, machines: int) -> dict[str, float]:
    """Seconds of exact lists: one alone, those of an evaluation on one machine, those of all users on all machines."""
    each = total(list_seconds(rates, items, dim, users=users))
    alone = total(list_seconds(rates, items, dim, users=1))
    return {
        "block": blocks_of_users(items),
        "one": alone,
        "evaluation": EVALUATED * each,
        "all_users": users * each / machines,
    }
