"""What a user calls data or a model of a hub: `hf://owner/name@revision/split#500`, taken apart and put together."""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import quote, unquote

from medicalgpt.errors import DataError

Hub = Literal["hf", "ms"]
Kind = Literal["dataset", "model"]
NAMES: Final[dict[Hub, str]] = {"hf": "Hugging Face", "ms": "ModelScope"}
MODEL_SPELLINGS: Final = "owner/name, hf://owner/name, hf://owner/name@revision; ms:// for ModelScope"
SPELLINGS: Final = (
    "hf://owner/name, hf://owner/name@revision/split#rows, hf://owner/name/configuration/split, hf://owner/name/a/file.jsonl; "
    "ms:// for ModelScope"
)

_SCHEME: Final = re.compile(r"(hf|ms|modelscope|huggingface)://?", re.IGNORECASE)  # Path() makes one slash of two
_REPO: Final = re.compile(r"(?:datasets/)?([\w.-]{1,96}/[\w.-]{1,96})(?=[@/#]|$)(.*)", re.ASCII | re.DOTALL)
# Revisions of the hub's own name space have slashes in them; in any other they are written %2F.
_SPECIAL: Final = re.compile(r"refs/(?:convert|pr)/[\w.-]+")
_REVISION: Final = re.compile(rf"@({_SPECIAL.pattern}|[^/#@]+)(?=[/#]|$)")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_ROWS: Final = re.compile(r"(?:(.*)#([0-9_]{1,15}))", re.DOTALL)
_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Address:
    """A repository; `inside` is the rest of a data set's path: a split, a configuration, a file or folder, or ""."""

    hub: Hub
    repo: str
    revision: str | None = None
    inside: str = ""
    rows: int | None = None
    kind: Kind = "dataset"

    def __str__(self) -> str:
        rows = f"#{self.rows}" if self.rows is not None else ""
        return f"{self.place}{'/' if self.inside else ''}{self.inside}{rows}"

    @property
    def place(self) -> str:
        """The repository and its revision."""
        if self.revision is None:
            return f"{self.hub}://{self.repo}"
        plain = self.revision if _SPECIAL.fullmatch(self.revision) else quote(self.revision, safe="")
        return f"{self.hub}://{self.repo}@{plain}"


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash, which names the same files for ever."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def parse(text: object) -> Address | None:
    """The address, or None where `text` is no hub's but a file's or folder's path.

    Raises:
        DataError: it begins as an address does and goes on as none.
    """
    written = str(text)
    scheme = _SCHEME.match(written)
    if scheme is None:
        return None
    rest = written[scheme.end() :].rstrip("/")
    rows = _ROWS.fullmatch(rest)
    repo = _REPO.fullmatch(rows[1] if rows else rest) if len(written) <= _LONGEST else None
    if repo is None or ".." in repo[1] or not written.isprintable():
        raise _no_address(written)
    revision = _REVISION.match(repo[2])
    inside = repo[2][revision.end() if revision else 0 :]
    parts = inside.split("/")
    if parts[0] or any(not part or part in (".", "..") or "#" in part for part in parts[1:]) or "\\" in inside:
        raise _no_address(written)
    count = int(rows[2]) if rows else None
    if count == 0:
        raise _no_address(written)
    hub: Hub = "ms" if scheme[1].lower() in ("ms", "modelscope") else "hf"
    return Address(hub, repo[1], unquote(revision[1]) if revision else None, inside[1:], count)


def parse_model(text: str) -> Address | None:
    """The address of a model, or None where `text` does not begin as an address does.

    Raises:
        DataError: as `parse`, or it goes on into the repository.
    """
    try:
        found = parse(text)
    except DataError:
        found = Address("hf", "", inside="?")
    if found is not None and (found.inside or found.rows is not None):
        raise DataError(f"{text[:200]}: not an address of a model; allowed: {MODEL_SPELLINGS}")
    return found and replace(found, kind="model")


def _no_address(written: str) -> DataError:
    return DataError(f"{written[:200]}: not an address of a hub; allowed: {SPELLINGS}")
