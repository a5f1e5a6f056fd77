"""Which requests the page's server lets through: the page's own paths, under the page's own address, from the page itself."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from medicalgpt.serve.web import events
from medicalgpt.serve.web.launch import Place
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.shield import middleware

JOIN = "/gradio_api/queue/join"
HERE = "127.0.0.1:7860"


def client(place: Place) -> TestClient:
    routes = [
        Route(path, lambda request: PlainTextResponse("fine"), methods=["GET", "POST"])
        for path in ("/", JOIN, "/upload")
    ]
    return TestClient(Starlette(routes=routes, middleware=middleware(place.doors)))


@pytest.mark.parametrize(
    ("place", "host", "origin", "status"),
    [
        (Place(), HERE, None, 200),
        (Place(), HERE, f"http://{HERE}", 200),
        (Place(), "localhost:9000", "http://LOCALHOST:9000", 200),
        (Place(), "[::1]:7860", "http://[::1]:7860", 200),
        (Place(), "evil.example", "http://evil.example", 403),
        (Place(), "evil.example", None, 403),
        (Place(), "127.0.0.1.evil.example:7860", None, 403),
        (Place(), "", None, 403),
        (Place(), HERE, "http://evil.example", 403),
        (Place(), HERE, "http://127.0.0.1:3000", 403),
        (Place(), HERE, "null", 403),
        (Place(allow_host=("Ward.example",)), "ward.example", "https://ward.example", 200),
        (Place(allow_host=("ward.example",)), HERE, "https://ward.example", 200),
        (Place(allow_host=("ward.example",)), "a.ward.example", None, 403),
        (Place(host="0.0.0.0"), "ward-pc:7860", "http://ward-pc:7860", 200),
        (Place(host="0.0.0.0"), "ward-pc:7860", "http://evil.example", 403),
        (Place(host="0.0.0.0"), "ward-pc:7860", "http://127.0.0.1:7860", 403),
        (Place(share=True), "abc.gradio.live", "https://abc.gradio.live", 200),
        (Place(share=True), "evilgradio.live", None, 403),
        (Place(), "abc.gradio.live", None, 403),
    ],
)
@pytest.mark.parametrize("path", ["/", JOIN])
def test_hosts_and_origins(place: Place, host: str, origin: str | None, status: int, path: str) -> None:
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    response = client(place).post(path, headers=headers)
    assert response.status_code == status
    assert "content-security-policy" in response.headers
    if status == 403:
        assert "evil" not in response.text


def test_a_proxy_may_name_the_host_that_it_was_asked_for() -> None:
    headers = {"Host": HERE, "Origin": "https://ward.example", "X-Forwarded-Host": "ward.example"}
    assert client(Place()).post(JOIN, headers=headers).status_code == 200


def test_other_paths_stay_closed() -> None:
    assert client(Place()).post("/upload", headers={"Host": HERE}).status_code == 404


def test_bodies_are_bounded() -> None:
    page, headers = client(Place()), {"Host": HERE}
    assert page.post(JOIN, headers=headers, content=b"x" * (4 * 2**20 + 1)).status_code == 413
    assert page.post(JOIN, headers=headers, content=iter([b"x"])).status_code == 413
    assert page.post(JOIN, headers=headers, content=b"x").status_code == 200


def test_tabs_without_end_take_the_place_of_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_SESSIONS", 3)
    made = iter([SimpleNamespace(busy=number == 0, number=number) for number in range(6)])
    page: Any = SimpleNamespace()
    wired = events.Events(page, page, lambda texts: next(made), Settings())  # type: ignore[arg-type, return-value]
    for number in range(6):
        wired._session(SimpleNamespace(session_hash=f"tab{number}", headers={}))  # type: ignore[arg-type]
    assert list(wired.sessions) == ["tab0", "tab4", "tab5"]


def test_websockets_are_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(*given: Any) -> None:
        raise AssertionError("came through")

    (shield,) = middleware(Place().doors)
    scope = {"type": "websocket", "path": JOIN, "headers": [(b"host", HERE.encode())]}
    asyncio.run(shield.cls(app, *shield.args)(scope, app, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_tracebacks_of_the_page_hold_no_value(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: Any) -> None:
    import gradio.queueing

    from medicalgpt.serve.web.discreet import discreet

    with discreet():
        try:
            raise ValueError("Received inputs: [Bond]")
        except ValueError:
            gradio.queueing.traceback.print_exc()
    said = "".join(capsys.readouterr()) + caplog.text
    assert "ValueError" in said
    assert "test_web_shield.py" in said
    assert "Received" not in caplog.records[0].getMessage().splitlines()[0]
    assert gradio.queueing.traceback.print_exc.__module__ == "traceback"
