"""Look at a model on the Hugging Face Hub before any weight of it is downloaded."""

import os
from pathlib import Path

from medicalgpt.errors import ModelError

_TIMEOUT = 20.0
"""Seconds until the Hub counts as unreachable."""


def hub_token() -> str | bool:
    """The token to pass to huggingface_hub: HF_TOKEN from the environment, else False, which ignores stored logins."""
    return os.environ.get("HF_TOKEN") or False


def fetch_file(repo: str, name: str, revision: str | None) -> Path:
    """One small file of a Hub repository, from the cache or the network; raises ModelError."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name, revision=revision, token=hub_token()))
    except _failures() as error:
        raise _explain(repo, revision, error) from error


def list_files(repo: str, revision: str | None) -> tuple[list[str], Path | None]:
    """File names of a repository; with HF_HUB_OFFLINE=1 those in huggingface_hub's cache, and the folder they lie in.

    Raises:
        ModelError: the repository is missing, gated or unreachable.
    """
    from huggingface_hub import HfApi, is_offline_mode, snapshot_download

    try:
        if is_offline_mode():
            folder = Path(snapshot_download(repo, revision=revision, local_files_only=True))
            return [p.name for p in folder.iterdir()], folder
        info = HfApi(token=hub_token()).model_info(repo, revision=revision, timeout=_TIMEOUT)
        return [file.rfilename for file in info.siblings or []], None
    except _failures() as error:
        raise _explain(repo, revision, error) from error


def _failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises when the fault is not in this program."""
    from huggingface_hub import errors

    # Its HTTP library's base error is re-exported there under this name, whichever library that is.
    http: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # an import that the module does not export
    return (OSError, errors.EntryNotFoundError, errors.HFValidationError, http)


def _explain(repo: str, revision: str | None, error: Exception) -> ModelError:
    """What went wrong and what to do, without the request's headers or URL."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        text = "is gated: accept its terms on its Hub page, then set HF_TOKEN to a token that may read it"
    elif isinstance(error, errors.RevisionNotFoundError):
        text = f"has no revision {revision!r}; check model.revision"
    elif isinstance(error, errors.RepositoryNotFoundError):
        text = "does not exist or is private; check the spelling, or set HF_TOKEN to a token that may read it"
    elif isinstance(error, errors.LocalEntryNotFoundError):
        text = (
            "is not in the local Hub cache and cannot be fetched; go online once (unset HF_HUB_OFFLINE) or use a folder"
        )
    else:
        text = (
            f"cannot be reached ({type(error).__name__}); check the network, HF_ENDPOINT and proxies, or use a folder"
        )
    return ModelError(f"Hub repository {repo} {text}")
