"""From a tokenizer and domain text to a folder with the extended tokenizer, proven before it appears."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from medicalgpt.errors import ModelError
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.locate import Located
from medicalgpt.models.token_map import TokenMap, vocabulary_hash
from medicalgpt.models.tokenizer_files import save_tokenizer
from medicalgpt.vocabulary import sentencepiece
from medicalgpt.vocabulary.bpe import GrowingBpe
from medicalgpt.vocabulary.learn import Growing, Wanted, Words, count_words, learn
from medicalgpt.vocabulary.pieces import add_pieces
from medicalgpt.vocabulary.unigram import GrowingUnigram

# Files from which older readers would build the old vocabulary.
_STALE = ("vocab.json", "merges.txt", "added_tokens.json")


@dataclass(frozen=True)
class Extension:
    """What was added. `steps` are tokens that stand for no text of their own, only parts of characters on the way to one.

    `unreached` counts tokens whose own text is still encoded in another way, `changed_ascii` the words in ASCII letters
    that the new tokenizer writes differently, out of `ascii_words`; `left_out` pieces of a list that found no room.
    """

    folder: Path
    old_size: int
    new_size: int
    rows: int
    steps: int
    unreached: int
    ascii_words: int
    changed_ascii: int
    left_out: int = 0
    examples: tuple[str, ...] = ()

    @property
    def added(self) -> int:
        """Number of new tokens."""
        return self.new_size - self.old_size


def extend(
    found: Located,
    target: Path,
    wanted: Wanted,
    corpus: Iterable[str] = (),
    pieces: Iterable[str] | None = None,
    pad_to: int = 1,
    trust_remote_code: bool = False,
) -> Extension:
    """Extend a model's tokenizer by tokens counted in `corpus`, or by `pieces`, and write it to `target`.

    Raises:
        ModelError: a tokenizer of a kind that cannot grow, nothing to add, `target` exists, or a proof failed.
    """
    if target.exists():
        raise ModelError(f"{target} exists already; name another folder or remove it")
    tokenizer = load_tokenizer(found.folder, trust_remote_code)
    grown = growing(tokenizer, found.name)
    words = count_words(tokenizer.backend_tokenizer, corpus)
    left_out = 0
    if pieces is None:
        learn(grown, words, wanted)
    else:
        left_out = add_pieces(grown, pieces, wanted.size)
    if grown.size == grown.first:
        raise ModelError(
            "nothing to add: every piece or frequent word is one token already; give more text, a lower --min-count, or "
            "--ascii for terms in ASCII letters"
        )
    token_map = TokenMap(vocabulary_hash(tokenizer), grown.first, tuple(grown.replaces), pad_to)
    built = grown.build()
    report = _report(grown, built, words, token_map, target, left_out)
    _publish(target, lambda temp: _write(temp, found, tokenizer, grown, built, token_map, trust_remote_code))
    return report


def growing(tokenizer: PreTrainedTokenizerBase, where: str) -> Growing:
    """A copy of a tokenizer that can grow. Raises ModelError for kinds that cannot."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    kind = type(backend.model).__name__ if backend is not None else type(tokenizer).__name__
    if backend is not None and kind == "BPE":
        return GrowingBpe(backend)
    if backend is not None and kind == "Unigram":
        return GrowingUnigram(backend)
    raise ModelError(f"{where} has a tokenizer of kind {kind}; BPE and unigram tokenizers can be extended")


def _report(
    grown: Growing, built: Tokenizer, words: Words, token_map: TokenMap, target: Path, left_out: int
) -> Extension:
    """Encode every word and every new token with the grown tokenizer, and say what changed.

    Raises:
        ModelError: the old encoding of a word cannot be read back from the new one (BPE), which must not happen.
    """
    model = built.model
    ascii_words = changed = 0
    for word, count in words.items():
        before, ids = grown.old_tokens(word), [token.id for token in model.tokenize(word)]
        if isinstance(grown, GrowingBpe) and token_map.old_ids(ids) != before:
            raise ModelError("the new tokens do not replace whole old ones; please report this tokenizer as a bug")
        plain = grown.spelling.text(word)
        if plain is not None and plain.isascii() and any(c.isalpha() for c in plain):
            ascii_words += count
            changed += count * (ids != before)
    names = [grown.names[i] for i in token_map.new_ids]
    whole = [(name, text) for name in names if (text := grown.spelling.text(name)) is not None]
    unreached = sum([token.value for token in model.tokenize(name)] != [name] for name, _ in whole)
    return Extension(
        folder=target,
        old_size=grown.first,
        new_size=grown.size,
        rows=token_map.rows(0),
        steps=len(names) - len(whole),
        unreached=unreached,
        ascii_words=ascii_words,
        changed_ascii=changed,
        left_out=left_out,
        examples=tuple(text for _, text in sorted(whole, key=lambda entry: -len(entry[1]))[:12]),
    )


def _publish(target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a hidden folder beside `target`, and give it the name only when that went well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temp = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        write(temp)
        temp.chmod(0o755)
        temp.rename(target)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


def _write(
    temp: Path,
    found: Located,
    tokenizer: PreTrainedTokenizerBase,
    grown: Growing,
    built: Tokenizer,
    token_map: TokenMap,
    trust_remote_code: bool,
) -> None:
    save_tokenizer(tokenizer, temp)
    for name in _STALE:
        (temp / name).unlink(missing_ok=True)
    built.save(str(temp / "tokenizer.json"))
    source = sentencepiece.find_model(Path(found.folder))
    if source is not None:
        sentencepiece.extend_model(source, temp / source.name, grown)
    token_map.write(temp)
    _prove(tokenizer, load_tokenizer(str(temp), trust_remote_code), built, grown)


def _prove(old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase, built: Tokenizer, grown: Growing) -> None:
    """What must not change did not, and what is read back from the folder is what was built.

    Raises:
        ModelError: naming what differs.
    """
    table = new.get_vocab()
    texts = [
        "What is a fever? 38.5 °C.",
        "高血压的症状包括头痛。",
        *filter(None, map(grown.spelling.text, grown.names.values())),
    ]
    lost = [token for token, i in old.get_vocab().items() if table.get(token) != i]
    problems = {
        f"{len(lost)} old tokens have other ids": bool(lost),
        "the chat template differs": old.chat_template != new.chat_template,
        "special tokens differ": old.special_tokens_map != new.special_tokens_map
        or old.all_special_ids != new.all_special_ids,
        f"it has {len(new)} tokens instead of {grown.size}": len(new) != grown.size,
        "it encodes text differently when it is read back": any(
            new.encode(text, add_special_tokens=False) != built.encode(text, add_special_tokens=False).ids
            for text in (*texts[:2], *texts[-200:])
        ),
    }
    wrong = [problem for problem, here in problems.items() if here]
    if wrong:
        raise ModelError(f"the extended tokenizer is not sound: {'; '.join(wrong)}")
