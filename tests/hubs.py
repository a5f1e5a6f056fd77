"""Stand-ins of the Hugging Face Hub and of ModelScope on this machine: the calls that are used, and what they were asked for."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.http_server import listening


class Answering(BaseHTTPRequestHandler):
    """A handler with one way to answer, for GET and HEAD."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def online(handler: type[BaseHTTPRequestHandler], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both hubs are this server, with caches below `folder`; its address."""
    with listening(handler) as address:
        _point_at(address, folder, monkeypatch)
        yield address


def _point_at(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", address)
    monkeypatch.setenv("MEDICALGPT_CACHE", str(folder / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)


@dataclass
class Hubs:
    """Data sets and models: (owner/name, commit) → path → bytes; branches: (owner/name, name) → commit.

    `asked`: (path, token) of requests.
    """

    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    refs: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # what is said of a file, where that is a lie
    redirects: dict[str, str] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(
        default_factory=dict
    )  # after how many bytes the next answers with a file break off
    ranges: list[str] = field(default_factory=list)  # what was asked for of files, but for whole ones

    def commit(self, repo: str, files: dict[str, bytes], *branches: str) -> str:
        """Publish files as a commit, and as the head of branches ("main" and "master" without any); its hash."""
        digest = hashlib.sha1(repr((repo, len(self.files), sorted(files.items()))).encode()).hexdigest()
        self.files[(repo, digest)] = files
        for branch in branches or ("main", "master"):
            self.refs[(repo, branch)] = digest
        return digest

    @property
    def fetched(self) -> list[str]:
        """Files that were fetched, in order."""
        parts = (urlsplit(path) for path, _ in self.asked)
        found = []
        for part in parts:
            if "/resolve/" in part.path:
                found.append(unquote(part.path.split("/resolve/")[1].split("/", 1)[1]))
            elif part.path.endswith("/repo"):
                found.append(parse_qs(part.query)["FilePath"][0])
        return found

    def handler(self) -> type[Answering]:
        """A class of handlers that answer from here."""
        hubs = self

        class Handler(Answering):
            def do_GET(self) -> None:
                if self.command == "GET":
                    hubs.asked.append((self.path, self.headers.get("Authorization")))
                place, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
                parts = [unquote(part) for part in place.path.strip("/").split("/")]
                if place.path.startswith(("/api/v1/datasets/", "/api/v1/models/")):
                    return self._modelscope(parts, {name: values[0] for name, values in query.items()})
                if parts[0] == "store":
                    return self.answer(200, next(f[parts[1]] for f in hubs.files.values() if parts[1] in f))
                return self._huggingface(parts)

            do_HEAD = do_GET

            def _huggingface(self, parts: list[str]) -> None:
                if parts[:2] in (["api", "datasets"], ["api", "models"]):
                    repo, call = "/".join(parts[2:4]), parts[4] if len(parts) > 4 else "revision"
                    revision = "/".join(parts[5:]) or "main"
                elif parts[0] == "datasets":
                    repo, call, revision = "/".join(parts[1:3]), "resolve", parts[4]
                elif len(parts) > 3 and parts[2] == "resolve":  # a model's
                    parts = ["models", *parts]
                    repo, call, revision = "/".join(parts[1:3]), "resolve", parts[4]
                else:
                    return self.answer(404, b"{}")
                if not any(repo == known for known, _ in hubs.files):
                    return self.answer(401, b"{}", **{"X-Error-Code": "RepoNotFound"})
                if "gated" in repo:
                    return self.answer(403, b"{}", **{"X-Error-Code": "GatedRepo"})
                commit = hubs.refs.get((repo, revision), revision)
                files = hubs.files.get((repo, commit))
                if files is None:
                    return self.answer(404, b"{}", **{"X-Error-Code": "RevisionNotFound"})
                if call == "revision":
                    return self.answer(200, json.dumps({"id": repo, "sha": commit}).encode())
                if call == "tree":
                    return self.answer(200, json.dumps([self._entry(p, b) for p, b in files.items()]).encode())
                body = files["/".join(parts[5:])]
                etag = f'"{hashlib.sha1(body).hexdigest()}"'
                return self.send("/".join(parts[5:]), body, **{"X-Repo-Commit": commit, "ETag": etag})

            def send(self, name: str, body: bytes, **headers: str) -> None:
                """A file or the rest of it, as far as the connection holds."""
                wanted = self.headers.get("Range")
                start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
                if wanted and self.command == "GET":
                    hubs.ranges.append(wanted)
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                cuts = hubs.cuts.get(name, []) if self.command == "GET" else []
                if not cuts:
                    self.answer(206 if wanted else 200, body[start:], **headers)
                    return
                self.send_response(206 if wanted else 200)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                self.wfile.write(body[start : start + cuts.pop(0)])
                self.close_connection = True

            def _entry(self, path: str, body: bytes) -> dict[str, Any]:
                return {"type": "file", "path": path, "size": hubs.sizes.get(path, len(body)), "oid": "0" * 40}

            def _modelscope(self, parts: list[str], query: dict[str, str]) -> None:
                repo, revision = "/".join(parts[3:5]), query["Revision"]
                commit = hubs.refs.get((repo, revision), revision)
                files = hubs.files.get((repo, commit))
                if files is None:
                    return self.answer(404, json.dumps({"Code": 10010205001, "Success": False}).encode())
                if parts[5:] == ["repo", "files"]:
                    listed = [self._row(p, b, commit) for p, b in files.items()]
                    return self.answer(200, json.dumps({"Code": 200, "Data": {"Files": listed}}).encode())
                if parts[5:] == ["repo", "tree"]:
                    page, size = int(query["PageNumber"]), int(query["PageSize"])
                    listed = [self._row(p, b, commit) for p, b in files.items()][(page - 1) * size : page * size]
                    data = {"Code": 200, "Success": True, "Data": {"Files": listed}}
                    return self.answer(200, json.dumps(data).encode())
                name = query["FilePath"]
                if name in hubs.redirects:
                    return self.answer(302, b"", Location=hubs.redirects[name])
                return self.send(name, files[name])

            def _row(self, path: str, body: bytes, commit: str) -> dict[str, Any]:
                sha, size = hashlib.sha256(body).hexdigest(), hubs.sizes.get(path, len(body))
                times = {"CommittedDate": 1_700_000_000, "Revision": commit}
                return {"Path": path, "Type": "blob", "Size": size, "Sha256": sha, **times}

        return Handler
