"""The Hugging Face Hub, through its own library: its cache, HF_ENDPOINT, HF_HUB_OFFLINE; its token comes from HF_TOKEN alone."""

import os
from pathlib import Path
from typing import Final

from medicalgpt.disk.private import private_files
from medicalgpt.errors import DataError
from medicalgpt.hub.address import Address, is_commit
from medicalgpt.hub.listing import RemoteFile, not_kept

TIMEOUT: Final = 20.0
"""Seconds until the Hub counts as unreachable."""


def hub_token() -> str | bool:
    """The token to pass to huggingface_hub: HF_TOKEN from the environment, else False, which ignores stored logins."""
    return os.environ.get("HF_TOKEN") or False


def failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises when the fault is not in this program."""
    from huggingface_hub import errors

    # Its HTTP library's base error is re-exported there under this name, whichever library that is.
    http: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # an import that the module does not export
    return (OSError, errors.EntryNotFoundError, errors.HFValidationError, http)


def explain(error: Exception, revision: str | None, key: str) -> str:
    """What went wrong and what to do, without the request's headers or URL; `key` is where the revision is set."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "is gated: accept its terms on its Hub page, then set HF_TOKEN to a token that may read it"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"has no revision {revision!r}; check {key}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "does not exist or is private; check the spelling, or set HF_TOKEN to a token that may read it"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            "is not in the local Hub cache and cannot be fetched; go online once (unset HF_HUB_OFFLINE) or use a folder"
        )
    return f"cannot be reached ({type(error).__name__}); check the network, HF_ENDPOINT and proxies, or use a folder"


class HuggingFace:
    """Repositories of the Hugging Face Hub. Methods raise DataError."""

    def commit(self, address: Address) -> str:
        """The commit that the address's revision is now."""
        from huggingface_hub import HfApi

        try:
            info = HfApi(token=hub_token()).repo_info(
                address.repo, repo_type=address.kind, revision=address.revision, timeout=TIMEOUT
            )
        except failures() as error:
            raise _failed(address, error) from None
        if not is_commit(info.sha):
            raise DataError(f"{address.place}: the Hub does not say which commit this is; name one with @COMMIT")
        return str(info.sha)

    def files(self, address: Address, commit: str) -> list[RemoteFile]:
        """The files of a commit."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        try:
            entries = HfApi(token=hub_token()).list_repo_tree(
                address.repo, recursive=True, revision=commit, repo_type=address.kind
            )
            return [RemoteFile(entry.path, entry.size) for entry in entries if isinstance(entry, RepoFile)]
        except failures() as error:
            raise _failed(address, error) from None

    @private_files()
    def fetch(self, address: Address, commit: str, file: RemoteFile) -> Path:
        """One file, from the library's cache or the network."""
        from huggingface_hub import hf_hub_download, is_offline_mode

        try:
            found = hf_hub_download(
                address.repo,
                file.path,
                repo_type=address.kind,
                revision=commit,
                token=hub_token(),
                etag_timeout=TIMEOUT,
            )
        except failures() as error:
            raise not_kept(address, file.path) if is_offline_mode() else _failed(address, error) from None
        return Path(found)

    def here(self, address: Address, commit: str, file: RemoteFile) -> Path | None:
        """A file in the library's cache."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(address.repo, file.path, revision=commit, repo_type=address.kind)
        return Path(found) if isinstance(found, str) else None

    def kept_commit(self, address: Address) -> str | None:
        """The commit of a revision by the library's own cache."""
        folder = self._kept(address)
        return folder.name if folder and is_commit(folder.name) else None

    def kept_files(self, address: Address, commit: str) -> list[RemoteFile] | None:
        """What the library's own cache holds of a commit: perhaps not all files that it has."""
        folder = self._kept(Address("hf", address.repo, commit, kind=address.kind))
        if folder is None:
            return None
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return [RemoteFile(path.relative_to(folder).as_posix(), path.stat().st_size) for path in found]

    def _kept(self, address: Address) -> Path | None:
        from huggingface_hub import snapshot_download

        try:
            found = snapshot_download(
                address.repo, repo_type=address.kind, revision=address.revision, local_files_only=True
            )
        except failures():
            return None
        return Path(found)


def _failed(address: Address, error: Exception) -> DataError:
    said = explain(error, address.revision, "what stands behind @")
    return DataError(f"{address.place}: the {'model' if address.kind == 'model' else 'data set'} {said}")
