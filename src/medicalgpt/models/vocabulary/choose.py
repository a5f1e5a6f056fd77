"""Which tokenizer a model is used with, and whether its embeddings have to grow for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.locate import Located
from medicalgpt.models.vocabulary.token_map import FILE, TokenMap, vocabulary_hash


def own_folder(config: ModelConfig, adapter: Located | None) -> Path | None:
    """The folder whose tokenizer goes before the base's: the adapter's, which was trained with it, or `model.tokenizer`.

    Raises:
        ModelError: `model.tokenizer` is no tokenizer folder.
    """
    if adapter is not None and adapter.kind == "adapter" and _has_tokenizer(Path(adapter.path_or_id)):
        return Path(adapter.path_or_id)
    if not config.tokenizer:
        return None
    folder = Path(config.tokenizer).expanduser()
    if not _has_tokenizer(folder):
        raise ModelError(
            f"model.tokenizer={config.tokenizer} is no tokenizer folder; make one with `medicalgpt vocab extend`"
        )
    return folder


def growth(
    config: ModelConfig, base: Located, source: Path | None, tokenizer: Any, read: Callable[[str], Any]
) -> TokenMap | None:
    """The token map by which a base is resized for a tokenizer that lies in `source`; None where it need not be.

    Args:
        source: as `own_folder` gives it; None for the base's own tokenizer.
        read: loads the tokenizer of a folder or Hub id; called only where the files do not settle it.

    Raises:
        ModelError: a tokenizer of another vocabulary than the base without a token map from it, or `model.tokenizer`
            against an adapter's own.
    """
    if source is None:
        return None
    if config.tokenizer and source != Path(config.tokenizer).expanduser():
        _check_same(config.tokenizer, read(config.tokenizer), source, tokenizer)
    token_map = TokenMap.read(source)
    if token_map is None and _same_file(source, base):
        return None
    of_base = read(base.path_or_id)
    known = vocabulary_hash(of_base)
    if known == vocabulary_hash(tokenizer):
        return None
    if token_map is None:
        _check_ids(source, tokenizer, base, of_base)
        return None
    if token_map.base != known or token_map.size != len(tokenizer):
        raise ModelError(
            f"{source} extends a vocabulary of {token_map.first} tokens to {token_map.size}, but the base {base.path_or_id} "
            f"has another one of {len(of_base)} tokens; use the base it was made for"
        )
    return token_map


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer_config.json").is_file()


def _same_file(folder: Path, base: Located) -> bool:
    """Whether both have the same tokenizer.json, which is quicker to see than to load the second one."""
    ours, theirs = folder / "tokenizer.json", Path(base.path_or_id) / "tokenizer.json"
    return ours.is_file() and theirs.is_file() and ours.read_bytes() == theirs.read_bytes()


def _check_same(asked: str, other: Any, source: Path, tokenizer: Any) -> None:
    if vocabulary_hash(other) != vocabulary_hash(tokenizer):
        raise ModelError(
            f"model.tokenizer={asked} has {len(other)} tokens, but the adapter {source} was trained with its own of "
            f"{len(tokenizer)}; leave model.tokenizer out, or start without the adapter"
        )


def _check_ids(source: Path, tokenizer: Any, base: Located, of_base: Any) -> None:
    """Without a map every token of the base must have kept its id; tokens behind them need rows, see `check_rows`."""
    table = tokenizer.get_vocab()
    if any(table.get(token) != i for token, i in of_base.get_vocab().items()):
        raise ModelError(
            f"{source} has a tokenizer of {len(tokenizer)} tokens, the base {base.path_or_id} another one of {len(of_base)}, and "
            f"there is no {FILE} that says what the new ones mean. Name the base it was trained on; a vocabulary is "
            "extended with `medicalgpt vocab extend`"
        )


def check_rows(tokenizer: Any, rows: int, base: Located) -> None:
    """Refuse a tokenizer with more tokens than the model has embeddings.

    Raises:
        ModelError: with both sizes.
    """
    size = max(tokenizer.get_vocab().values(), default=-1) + 1
    if size > rows:
        raise ModelError(
            f"the tokenizer has {size} tokens, but {base.path_or_id} has {rows} embeddings, and there is no {FILE} that says what "
            "the new ones mean. Use the base's own tokenizer, or extend it with `medicalgpt vocab extend`"
        )
