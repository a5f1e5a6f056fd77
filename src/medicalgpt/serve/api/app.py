"""The app: paths and what answers them."""

from functools import cache

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.responses import Response

from medicalgpt.serve.api import chat, completions, cors, errors, openapi, reference, responses
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.gateway import Gateway
from medicalgpt.serve.api.metrics import Metrics
from medicalgpt.serve.api.service import Service


def create_app(service: Service) -> FastAPI:
    """The API over a model whose `BatchingEngine` is running.

    Its description is at /openapi.json and /docs, and web pages may ask it, where the service says so.
    """
    app = FastAPI(title="MedicalGPT", docs_url=None, redoc_url=None, openapi_url=None)
    metrics = Metrics(service.live, service.room)
    app.add_middleware(Gateway, service=service, metrics=metrics)
    if service.origins:
        cors.install(app, service.origins)
    errors.install(app)

    @app.post("/v1/chat/completions")
    async def _chat(request: Request) -> Response:
        _check_json(request)
        return await chat.complete(request, service)

    @app.post("/v1/completions")
    async def _completions(request: Request) -> Response:
        _check_json(request)
        return await completions.complete(request, service)

    @app.post("/v1/responses")
    async def _responses(request: Request) -> Response:
        _check_json(request)
        return await responses.complete(request, service)

    @app.head("/v1/models", include_in_schema=False)
    @app.get("/v1/models")
    async def _models() -> dict[str, object]:
        return {"object": "list", "data": [_model(service, name) for name in service.all_names]}

    @app.head("/v1/models/{name:path}", include_in_schema=False)
    @app.get("/v1/models/{name:path}")
    async def _one_model(name: str) -> dict[str, object]:
        if name not in service.all_names:
            raise ApiError(404, "this model is not served here", param="model", code="model_not_found")
        return _model(service, name)

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def _health() -> JSONResponse:
        load = service.live.load
        ends = service.stopping or service.live.broken
        status = "stopping" if ends else "draining" if service.draining else "ok"
        state = {"status": status, "active": load.active, "waiting": load.waiting}
        return JSONResponse(state, 200 if status == "ok" else 503)

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", response_class=PlainTextResponse)
    async def _metrics() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.post("/v1/embeddings", include_in_schema=False)
    async def _embeddings() -> Response:
        reason = "this server has no embedding model: it serves one that writes text, and its states are no embeddings"
        raise ApiError(404, f"{reason}; ask a server of an embedding model", param="model", code="model_not_found")

    if service.described:
        _describe(app, service)

    return app


def _describe(app: FastAPI, service: Service) -> None:
    @cache
    def described() -> openapi.Described:
        """Made when it is first asked for, as all routes are there by then."""
        return openapi.describe(app, bool(service.keys))

    @app.get(openapi.PATH, include_in_schema=False)
    async def _description() -> dict[str, object]:
        return described()

    @app.get(reference.PATH, include_in_schema=False)
    async def _page() -> Response:
        return reference.page(described())


def _model(service: Service, name: str) -> dict[str, object]:
    context = service.live.engine.context
    return {
        "id": name,
        "object": "model",
        "created": service.created,
        "owned_by": "medicalgpt",
        "context_length": context,
    }


def _check_json(request: Request) -> None:
    """Browsers let any page send forms and plain text to this machine, but not JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "send JSON with the header Content-Type: application/json")
