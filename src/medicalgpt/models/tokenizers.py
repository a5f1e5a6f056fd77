"""Which tokenizer a model is used with, and whether its embeddings have to grow for it."""

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.token_map import FILE, TokenMap, vocabulary_hash


def own_place(config: ModelConfig, adapter: Located | None, asked: str | None = None) -> str | None:
    """Where the tokenizer lies that goes before the base's, if any: the one asked for by name, else the adapter's, which
    was trained with it, else `model.tokenizer`.

    Raises:
        ModelError: `model.tokenizer` is no tokenizer folder, or nothing lies where `asked` says.
    """
    if asked is not None:
        return _asked_place(asked)
    if (own := _own_folder(adapter)) is not None:
        return str(own)
    if not config.tokenizer:
        return None
    folder = Path(config.tokenizer).expanduser()
    if not _has_tokenizer(folder):
        raise ModelError(
            f"model.tokenizer={config.tokenizer} is no tokenizer folder; make one with `medicalgpt vocab extend`"
        )
    return str(folder)


def growth(
    config: ModelConfig,
    base: Located,
    adapter: Located | None,
    tokenizer: PreTrainedTokenizerBase,
    read: Callable[[str], PreTrainedTokenizerBase],
    asked: str | None = None,
    resizes: bool = False,
) -> TokenMap | None:
    """The token map by which a base is resized for a tokenizer and an adapter; None where it need not be.

    Args:
        tokenizer: what lies where `own_place` says; with None there, the base's own.
        read: loads the tokenizer of a folder; called only where the files do not settle it.
        asked: a tokenizer named for answering. Without a map in its folder it is taken as it is, for the embeddings
            that are there; beside an adapter with a map it must be the adapter's.
        resizes: without a map the embeddings will be made as many as the tokens, whatever those mean.

    Raises:
        ModelError: a tokenizer of another vocabulary than the base without a token map from it, or one that was named
            against an adapter's own.
    """
    place = own_place(config, adapter, asked)
    if place is None:
        return None
    source, own = Path(place), _own_folder(adapter)
    if asked is not None and own is not None and TokenMap.read(own) is not None:
        ours = read(str(own))
        _check_same(f"tokenizer {asked}", tokenizer, own, ours)
        source, tokenizer = own, ours
    elif asked is not None and TokenMap.read(source) is None:
        return None
    elif config.tokenizer and source != Path(config.tokenizer).expanduser():
        _check_same(f"model.tokenizer={config.tokenizer}", read(config.tokenizer), source, tokenizer)
    token_map = TokenMap.read(source)
    if token_map is None and (resizes or _same_file(source, base)):
        return None
    of_base = read(base.folder)
    known = vocabulary_hash(of_base)
    if known == vocabulary_hash(tokenizer):
        return None
    if token_map is None:
        _check_ids(source, tokenizer, base, of_base)
        return None
    return require_map(token_map, source, tokenizer, of_base, base.folder)


def require_map(
    token_map: TokenMap, source: Path, tokenizer: PreTrainedTokenizerBase, of_base: PreTrainedTokenizerBase, base: str
) -> TokenMap:
    """The map in `source`, if it leads from the vocabulary of `of_base` to that of `tokenizer`.

    Raises:
        ModelError: with the sizes.
    """
    if token_map.base != vocabulary_hash(of_base) or token_map.size != len(tokenizer):
        raise ModelError(
            f"{source} extends a vocabulary of {token_map.first} tokens to {token_map.size}, but the base {base} "
            f"has another one of {len(of_base)} tokens; use the base it was made for"
        )
    return token_map


def _own_folder(adapter: Located | None) -> Path | None:
    """An adapter's folder, if it holds the tokenizer that it was trained with."""
    local = adapter is not None and _has_tokenizer(Path(adapter.folder))
    return Path(adapter.folder) if local and adapter is not None else None


def _asked_place(name_or_path: str) -> str:
    """Folder of a tokenizer that is named by folder or address: a folder need hold no weights; a run folder's lies in its model/."""
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        inner = folder / "model"
        return str(inner if (folder / "manifest.json").is_file() and inner.is_dir() else folder)
    return str(locate(name_or_path).folder)


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer_config.json").is_file()


def _same_file(folder: Path, base: Located) -> bool:
    """Whether both have the same tokenizer.json, which is quicker to see than to load the second one."""
    ours, theirs = folder / "tokenizer.json", Path(base.folder) / "tokenizer.json"
    return ours.is_file() and theirs.is_file() and ours.read_bytes() == theirs.read_bytes()


def _check_same(asked: str, other: PreTrainedTokenizerBase, source: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    if vocabulary_hash(other) != vocabulary_hash(tokenizer):
        raise ModelError(
            f"{asked} has {len(other)} tokens, but the adapter {source} was trained with its own of {len(tokenizer)}; leave "
            "the former out, or start without the adapter"
        )


def _check_ids(
    source: Path, tokenizer: PreTrainedTokenizerBase, base: Located, of_base: PreTrainedTokenizerBase
) -> None:
    """Without a map every token of the base must have kept its id; tokens behind them need rows, see `require_rows`."""
    table = tokenizer.get_vocab()
    if any(table.get(token) != i for token, i in of_base.get_vocab().items()):
        raise ModelError(
            f"{source} has a tokenizer of {len(tokenizer)} tokens, the base {base.name} another one of {len(of_base)}, and "
            f"there is no {FILE} that says what the new ones mean. Name the base it was trained on; a vocabulary is "
            "extended with `medicalgpt vocab extend`"
        )
