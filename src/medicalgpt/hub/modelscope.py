"""ModelScope, over its HTTP interface: MODELSCOPE_DOMAIN says where, MODELSCOPE_API_TOKEN who asks."""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote, urlencode, urlsplit

from medicalgpt.disk.failures import LARGER_CACHE, explain
from medicalgpt.disk.private import private_files
from medicalgpt.errors import DataError
from medicalgpt.hub.address import Address, is_commit
from medicalgpt.hub.download import complete, part
from medicalgpt.hub.listing import MOST_FILES, RemoteFile, folder_of, not_kept

_TIMEOUT: Final = 20.0  # seconds without a byte
_PAGE: Final = 200  # files; what its own client asks for
_PAGE_BYTES: Final = 8 << 20
_DEFAULT: Final = "www.modelscope.cn"


def endpoint() -> str:
    """The address of the hub, without a slash at its end. Raises DataError: MODELSCOPE_DOMAIN is none."""
    given = (os.environ.get("MODELSCOPE_DOMAIN") or _DEFAULT).strip().rstrip("/")
    found = given if "://" in given else f"https://{given}"
    if urlsplit(found).scheme not in ("http", "https") or not urlsplit(found).hostname:
        raise DataError(f"MODELSCOPE_DOMAIN={given!r} is no host; write {_DEFAULT}, or http://host:port")
    return found


class ModelScope:
    """Repositories of ModelScope. Methods raise DataError."""

    def commit(self, address: Address) -> str:
        """The commit of the newest change in the revision. The hub tells each file's own commit, not the branch's."""
        newest = max(self._entries(address, address.revision or "master"), key=_committed, default=None)
        commit = str(newest.get("Revision")) if newest else ""
        if not is_commit(commit):
            raise DataError(f"{address.place}: ModelScope does not say which commit this is; name one with @COMMIT")
        return commit

    def files(self, address: Address, commit: str) -> list[RemoteFile]:
        """The files of a commit."""
        entries = (entry for entry in self._entries(address, commit) if entry.get("Type") != "tree")
        return [
            RemoteFile(str(e.get("Path")), _size(e), str(e["Sha256"]) if e.get("Sha256") else None) for e in entries
        ]

    def fetch(self, address: Address, commit: str, file: RemoteFile) -> Path:
        """One file, from this package's cache or the network."""
        from huggingface_hub import is_offline_mode

        target = _target(address, commit, file)
        if found := self.here(address, commit, file):
            return found
        if is_offline_mode():
            raise not_kept(address, file.path)
        url = f"{_api(address)}/repo?{urlencode({'Revision': commit, 'FilePath': file.path})}"
        try:
            with private_files(), part(folder_of(address), f"{commit}/{file.path}") as partial:
                if found := self.here(address, commit, file):  # another process was faster
                    return found
                with _errors(address, file.path):
                    complete(partial, file, address, lambda offset: _opened(url, offset))
                partial.replace(_made(target.parent) / target.name)
        except OSError as error:
            raise DataError(f"{address}: {explain(error, target.parent, file.size, LARGER_CACHE)}") from None
        return target

    def here(self, address: Address, commit: str, file: RemoteFile) -> Path | None:
        """A file in this package's cache."""
        target = _target(address, commit, file)
        return target if target.is_file() and target.stat().st_size == file.size else None

    def kept_commit(self, address: Address) -> None:
        """Its own client's cache knows no commits."""

    def kept_files(self, address: Address, commit: str) -> None:
        """Nor which files belong to one."""

    def _entries(self, address: Address, revision: str) -> Iterator[dict[str, object]]:
        if address.kind == "model":  # all in one page
            yield from self._page(address, "files", {"Revision": revision, "Recursive": "true"})
            return
        for page in range(1, MOST_FILES // _PAGE + 2):
            asked = {"Revision": revision, "Root": "/", "Recursive": "True", "PageNumber": page, "PageSize": _PAGE}
            entries = self._page(address, "tree", asked)
            yield from entries
            if len(entries) < _PAGE:
                return
        raise DataError(f"{address.place}: more than {MOST_FILES:,} files; download it yourself and name the folder")

    def _page(self, address: Address, call: str, asked: Mapping[str, object]) -> list[dict[str, object]]:
        url = f"{_api(address)}/repo/{call}?{urlencode(asked)}"
        with _errors(address, "the list of its files"), _opened(url) as answer:
            text = answer.read(_PAGE_BYTES + 1)
        return _read_page(text, address)


def _target(address: Address, commit: str, file: RemoteFile) -> Path:
    return folder_of(address) / "files" / commit / file.path


def _api(address: Address) -> str:
    return f"{endpoint()}/api/v1/{address.kind}s/{quote(address.repo)}"


def _read_page(text: bytes, address: Address) -> list[dict[str, object]]:
    try:
        said = json.loads(text) if len(text) <= _PAGE_BYTES else None
    except (ValueError, RecursionError):
        said = None
    data = said.get("Data") if isinstance(said, dict) else None
    files = (data.get("Files") or []) if isinstance(data, dict) else data
    refused = isinstance(said, dict) and (said.get("Success") is False or said.get("Code", 200) != 200)
    if refused or not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise DataError(
            f"{address.place}: ModelScope does not list the files of the {'model' if address.kind == 'model' else 'data set'}; "
            "check owner, name and revision, and MODELSCOPE_API_TOKEN for a private one"
        )
    return files


def _committed(entry: dict[str, object]) -> tuple[float, str]:
    date = entry.get("CommittedDate")
    return float(date) if isinstance(date, int | float) else 0.0, str(entry.get("Revision"))


def _size(entry: dict[str, object]) -> int:
    size = entry.get("Size")
    return size if isinstance(size, int) else -1


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To the store that holds the bytes, never to another kind of address, nor from a protected one to an open one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """As the base class says."""
        allowed = ("https",) if urlsplit(req.full_url).scheme == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise urllib.error.URLError("it redirects to an address that is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(url: str, offset: int = 0) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "medicalgpt", "Accept-Encoding": "identity"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    if token := os.environ.get("MODELSCOPE_API_TOKEN"):
        if not token.isascii() or not token.isprintable():
            raise DataError("MODELSCOPE_API_TOKEN holds characters that no token has; copy it again")
        request.add_unredirected_header("Authorization", f"Bearer {token}")  # for the hub alone, not for its store
        request.add_unredirected_header("Cookie", f"m_session_id={token}")
    found: http.client.HTTPResponse = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT)
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _errors(address: Address, what: str) -> Iterator[None]:
    """What goes wrong on the way is said without the address that was asked: a redirect's may hold a signature."""
    said: Callable[[str], DataError] = lambda text: DataError(f"{address.place}: {what} {text}")  # noqa: E731
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403, 404):
            advice = "check owner, name and revision, and MODELSCOPE_API_TOKEN for a private one"
            raise said(f"is not there or not for everyone (HTTP {error.code}); {advice}") from None
        raise said(f"cannot be fetched (HTTP {error.code}); try again later") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, str) and "redirects" in error.reason:
            raise said(f"cannot be fetched: {error.reason}") from None
        raise said(_UNREACHABLE.format(type(error.reason).__name__)) from None
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise said(_UNREACHABLE.format(type(error).__name__)) from None


_UNREACHABLE: Final = "cannot be reached ({}); check the network, MODELSCOPE_DOMAIN and proxies, or use a local file"
