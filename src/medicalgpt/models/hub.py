"""A model of a hub as a folder: what is read before it is loaded comes at once, its weights when they are needed."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from medicalgpt.errors import DataError, ModelError
from medicalgpt.hub.address import Address
from medicalgpt.hub.listing import RemoteFile
from medicalgpt.hub.repository import commit_of, fetched, listed, missing, offline
from medicalgpt.models.complete import check_complete, listed_in
from medicalgpt.models.console import to_stderr

_READ: Final = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".vocab")
_WEIGHTS: Final = ".safetensors"
_TEMPLATES: Final = "additional_chat_templates"
_CODE: Final = ".py"
_INDEX: Final = "model.safetensors.index.json"
_ONE: Final = ("model.safetensors", "adapter_model.safetensors")
_MOST_READ: Final = 2 << 30  # bytes of all that is no weight


@dataclass(frozen=True)
class HubModel:
    """A model's repository at one commit, which `address` names."""

    address: Address
    files: tuple[RemoteFile, ...]

    @classmethod
    def find(cls, address: Address) -> "HubModel":
        """Which commit it is now, and which files it has; nothing of it is fetched yet.

        Raises:
            ModelError: the repository or revision is missing, gated, unreachable, or not in the cache when offline.
        """
        with _as_model_error():
            commit = commit_of(address)
            pinned = replace(address, revision=commit)
            return cls(pinned, listed(pinned, commit))

    @property
    def names(self) -> list[str]:
        """Names of the files beside config.json, not of those in folders."""
        return [file.path for file in self.files if "/" not in file.path]

    def folder(self, trust_remote_code: bool = False) -> Path:
        """The folder with all that is read before the weights are: configs, tokenizer, templates; Python code if trusted.

        Raises:
            ModelError: a file cannot be fetched, or there is more than belongs to any model.
        """
        files = [file for file in self.files if _is_read(file.path, trust_remote_code)]
        if (size := sum(file.size for file in files)) > _MOST_READ:
            raise ModelError(
                f"{self.address}: configs and tokenizer have {size / 1e9:.1f} GB; no model has more than "
                f"{_MOST_READ / 1e9:.1f} GB of them: nothing of it is fetched"
            )
        with _as_model_error():
            found = [(file, fetched(self.address, self._commit, file)) for file in files]
        # Folder and file name give the path; a hub's cache may have a link there, which is not followed.
        return next((path.parents[file.path.count("/")] for file, path in found), Path())

    def fetch_weights(self, folder: Path, say: Callable[[str], None] = to_stderr) -> None:
        """Fetch what is missing of the weights, and see that they are whole; what was cut short goes on.

        Args:
            folder: where the rest of it lies already.

        Raises:
            ModelError: a file cannot be fetched or is damaged, or the disk is too small for what is missing.
        """
        weights = self._weights(folder)
        with _as_model_error():
            left = missing(self.address, self._commit, weights)
            if left and not offline():
                size = sum(file.size for file in left)
                self._check_room(size, folder)
                say(f"{self.address}: fetching {len(left)} weight files, {size / 1e9:.2f} GB, once")
            for file in left:
                fetched(self.address, self._commit, file)
        check_complete(folder, [file.path for file in weights])

    def members(self, folder: Path, trust_remote_code: bool = False) -> list[str]:
        """Paths below its folder of all that belongs to the model; code where it is trusted."""
        read = [file.path for file in self.files if _is_read(file.path, trust_remote_code)]
        return read + [file.path for file in self._weights(folder)]

    def _weights(self, folder: Path) -> list[RemoteFile]:
        """The files that transformers reads: repositories hold others, too, as the same weights under other names."""
        there = {file.path: file for file in self.files if "/" not in file.path and file.path.endswith(_WEIGHTS)}
        if one := next((there[name] for name in _ONE if name in there), None):
            return [one]
        if _INDEX not in self.names:
            return list(there.values())
        wanted = listed_in(folder / _INDEX)
        if lost := sorted(wanted - there.keys()):
            raise ModelError(
                f"{self.address} is only half there: {_INDEX} lists {lost[0]}, which is missing; choose another revision"
            )
        return [there[name] for name in sorted(wanted)]

    def _check_room(self, size: int, folder: Path) -> None:
        free = shutil.disk_usage(folder).free
        if size > free:
            raise ModelError(
                f"{self.address}: its weights have {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free beside {folder}; free "
                "some space, or set HF_HOME (Hugging Face) or MEDICALGPT_CACHE (ModelScope) to a larger disk"
            )

    @property
    def _commit(self) -> str:
        return self.address.revision or ""


def _is_read(path: str, code: bool) -> bool:
    folder, _, name = path.rpartition("/")
    return folder in ("", _TEMPLATES) and name.endswith((*_READ, _CODE) if code else _READ)


@contextmanager
def _as_model_error() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise ModelError(str(error)) from None
