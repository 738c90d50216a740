"""Lists of one request, and of a batch of requests."""

import asyncio
from collections import Counter

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from foldin.errors import ConfigError
from foldin.ranking import RankedLists
from foldin.serve.api.access import Access
from foldin.serve.api.direct import BareRoute
from foldin.serve.api.wording import invalid
from foldin.serve.engine.service import Service
from foldin.serve.schemas import BatchRecommendations, BatchRecommendRequest, Recommendations, RecommendRequest

__all__ = ["recommendations"]

_SCHEMA = {"$ref": "#/components/schemas/RecommendRequest"}


def recommendations(service: Service, access: Access) -> APIRouter:
    """`/v1/recommendations` and `/v1/recommendations:batch`."""
    router, may_read, limits = APIRouter(tags=["lists"]), access.needs("read"), service.limits

    async def recommend(http: Request) -> Response:
        """The list for a user, for a history, or for a user about whom nothing is known."""
        # Access, parsing and serialization bypass FastAPI, whose overhead is as large as the cost of the list.
        await may_read(http)
        try:
            request = RecommendRequest.model_validate_json(await http.body())
        except ValidationError as error:
            raise ConfigError(invalid(error.errors(), RecommendRequest, "body")) from None
        # Only steps that may take long leave the event loop: the event store, and attributions.
        history = (
            service.history(request) if request.user is None else await run_in_threadpool(service.history, request)
        )
        begun = service.begin_or_fall_back(request, history, lambda one: one.deployment.ask(one.resolved))
        if isinstance(begun, dict):
            http.state.log |= {"model": begun["model"], "fallback": begun["source"]}
            return Response(to_json(begun), media_type="application/json")
        routed, future = begun
        http.state.log |= routed.note()
        late = asyncio.get_running_loop().call_later(limits.wait, _end, future)
        try:
            lists = await future
            if request.attributions:
                found = await run_in_threadpool(service.finish, routed, lists)
            else:
                found = service.finish(routed, lists)
        except Exception as error:  # counted, whatever it is, and raised again
            service.note_failure(routed, error)
            if isinstance(error, TimeoutError):
                raise service.too_late() from None
            raise
        finally:
            late.cancel()
        return Response(to_json(found), media_type="application/json")

    router.add_api_route(
        "/v1/recommendations",
        recommend,
        methods=["POST"],
        route_class_override=BareRoute,
        response_model=Recommendations,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}},
    )

    @router.post("/v1/recommendations:batch", dependencies=access.after("read"))
    def recommend_batch(batch: BatchRecommendRequest, http: Request) -> BatchRecommendations:
        """The lists of many requests, all or none. Each of them counts towards the rate limit of the key."""
        # One token was spent on the request already; a full bucket is enough for any batch.
        access.spend(http.state.log["key"], min(len(batch.requests), limits.burst) - 1)
        answers = service.recommend(batch.requests)
        http.state.log |= {"lists": dict(Counter(one["model"] for one in answers))}
        return BatchRecommendations(answers=answers)

    return router


def _end(future: "asyncio.Future[RankedLists]") -> None:
    """Give up waiting for a list; what would compute it passes it by."""
    if not future.done():
        future.set_exception(TimeoutError())
