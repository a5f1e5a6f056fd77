"""Look at a model on the Hugging Face Hub before any weight of it is downloaded."""

from pathlib import Path

from medicalgpt.errors import ModelError
from medicalgpt.hub.huggingface import TIMEOUT, explain, failures, hub_token


def fetch_file(repo: str, name: str, revision: str | None) -> Path:
    """One small file of a Hub repository, from the cache or the network; raises ModelError."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name, revision=revision, token=hub_token()))
    except failures() as error:
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
        info = HfApi(token=hub_token()).model_info(repo, revision=revision, timeout=TIMEOUT)
        return [file.rfilename for file in info.siblings or []], None
    except failures() as error:
        raise _explain(repo, revision, error) from error


def _explain(repo: str, revision: str | None, error: Exception) -> ModelError:
    return ModelError(f"Hub repository {repo} {explain(error, revision, 'model.revision')}")
