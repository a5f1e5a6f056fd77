"""Errors as OpenAI writes them: `{"error": {"message", "type", "param", "code"}}`."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from medicalgpt.errors import BusyError, ContextError, GrammarError, MedicalGPTError
from medicalgpt.network.log import log_bug

RETRY_SECONDS = 1
_NAMED = ("logit_bias", "frequency_penalty", "presence_penalty", "logprobs")
"""Fields that an engine refuses by their names."""


class ApiError(Exception):
    """An answer that is an error. `type` and `code` follow OpenAI, so that its clients raise the right exception."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, object]:
        """What the client is sent."""
        kinds = {401: "authentication_error", 429: "rate_limit_error", 503: "service_unavailable"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        """The same as a response."""
        return JSONResponse(self.body, self.status, self.headers)


def busy(message: str, stopping: bool = False) -> ApiError:
    """No room now: 429, or 503 from a server that shuts down."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    if stopping:
        return ApiError(503, message, code="shutting_down", headers=headers)
    return ApiError(429, message, code="queue_full", headers=headers)


def shutting_down() -> ApiError:
    """A request that the server does not begin any more, as it stops."""
    return busy("the server is shutting down", stopping=True)


def refused(error: MedicalGPTError, stopping: bool = False) -> ApiError:
    """A request that the engine did not take: the request's fault, unless the server is busy."""
    if isinstance(error, BusyError):
        return busy(str(error), stopping)
    code = "context_length_exceeded" if isinstance(error, ContextError) else None
    setting = next((name for name in _NAMED if str(error).startswith(f"{name}:")), None)
    return ApiError(400, str(error), param="messages" if code else setting, code=code)


def failed(error: Exception, stopping: bool = False) -> ApiError:
    """A request that the model could not answer; only errors of ours have messages that may be shown.

    A schema that proves too complex in the midst of an answer is the request's fault.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, GrammarError):
        return ApiError(400, str(error), param="response_format")
    if isinstance(error, MedicalGPTError):
        message = str(error)
    else:
        message = "the server failed on this request"
        log_bug(error)
    return ApiError(503 if stopping else 500, message, code="shutting_down" if stopping else None)


def install(app: FastAPI) -> None:
    """Let every error of the app's routes come in this form."""

    @app.exception_handler(ApiError)
    async def _ours(request: Request, error: ApiError) -> JSONResponse:
        return error.response

    @app.exception_handler(HTTPException)
    async def _routing(request: Request, error: HTTPException) -> JSONResponse:
        messages = {404: "there is no such path here", 405: "this path does not take that method"}
        message = messages.get(error.status_code, str(error.detail))
        found = ApiError(error.status_code, f"{message}; see docs/serving.md", headers=error.headers)
        return found.response
