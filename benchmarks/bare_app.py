"""A bare FastAPI application that parses bodies of the size of foldin's and returns answers of their size: the stack's limit."""

from fastapi import FastAPI
from pydantic import BaseModel

__all__ = ["make"]


class Asked(BaseModel):
    history: list[str]
    k: int


class Place(BaseModel):
    rank: int
    item: str
    title: str
    probability: float
    score: None = None
    sd: None = None
    propensity: None = None
    raised_by: None = None
    lowered_by: None = None


class Answered(BaseModel):
    model: str
    run: str
    user: None = None
    known_events: int
    unknown_items: list[str]
    effect_unit: str
    prior: bool
    items: list[Place]


def make() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/recommendations")
    async def recommend(asked: Asked) -> Answered:
        return Answered(
            model="recvae",
            run="0123456789ab",
            known_events=len(asked.history),
            unknown_items=[],
            effect_unit="nats",
            prior=False,
            items=[
                Place(rank=at + 1, item=asked.history[at], title=asked.history[at], probability=0.0123456789)
                for at in range(asked.k)
            ],
        )

    return app
