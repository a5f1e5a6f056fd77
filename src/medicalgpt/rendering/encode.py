"""Text to ids with boundaries that hold: the ids before a boundary are exactly the ids of the text before it.

Tokenizers merge across boundaries (with SmolLM2 an answer that begins with a newline swallows the newline of the
assistant header). Where that happens the text is cut at the boundary and both sides are encoded apart, which is what
the model meets at inference: the prompt ends there, and the answer's tokens come one by one.
"""

import pickle
import re
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np

from medicalgpt.errors import RenderError
from medicalgpt.rendering.later import Later
from medicalgpt.rendering.ranks import Ranks
from medicalgpt.rendering.sections import Sections
from medicalgpt.rendering.spelling import Spelling
from medicalgpt.rendering.unwanted import go_on

_FAST: Final = "transformers.tokenization_utils_tokenizers"
_FOUND_OUT: Final = ("special", "backend", "_ranks", "_spelling")
_REMEMBERED: Final = 4  # texts: a row is measured, and then encoded; a pair has two of them


class Encoder:
    """Encodes rendered text for one tokenizer. Special tokens are written out in the text by the chat template.

    Args:
        stops: texts that end an answer. One that is a single token counts as special even where the tokenizer does not
            mark it so (InternLM's `<eoa>`).
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self.tokenizer = tokenizer
        self.stops = tuple(stops)

    def __getstate__(self) -> dict[str, object]:
        """For another process: with what took time to find out about the tokenizer, which itself is hardly needed then."""
        kept: dict[str, object] = {n: self.__dict__[n] for n in ("stops", *_FOUND_OUT) if n in self.__dict__}
        # Foreign code may be missing there, which must show when it is taken up, and not in the midst of the work.
        later = kept.get("backend") is not None and type(self.tokenizer).__module__.partition(".")[0] == "transformers"
        return {"tokenizer": Later(pickle.dumps(self.tokenizer)) if later else self.tokenizer, **kept}

    def expect(self, characters: int) -> None:
        """About so many characters will be encoded; may be said to save time."""
        if self.backend is not None:
            self._ranks.expect(characters)

    @cached_property
    def special(self) -> dict[str, int]:
        """Special tokens and their ids."""
        tokens = {str(t): int(i) for i, t in self.tokenizer.added_tokens_decoder.items() if t.special}
        for token, index in zip(self.tokenizer.all_special_tokens, self.tokenizer.all_special_ids):
            tokens.setdefault(str(token), int(index))
        for text in self.stops:
            if text not in tokens and (index := self._single(text)) is not None:
                tokens[text] = index
        return tokens

    def _single(self, text: str) -> int | None:
        """The id of a text that is one token wherever it stands."""
        index = self.tokenizer.convert_tokens_to_ids(text)
        if index is None or self.tokenizer.convert_ids_to_tokens(index) != text:
            return None
        return int(index) if self.ids(f"a{text}a").count(index) == 1 else None

    @cached_property
    def special_pattern(self) -> re.Pattern[str]:
        """Matches any special token in text."""
        return re.compile("|".join(re.escape(t) for t in sorted(self.special, key=len, reverse=True)) or r"(?!)")

    @cached_property
    def backend(self) -> Any:
        """The tokenizer of the `tokenizers` library behind this one, where nothing but it makes ids and text; else None."""
        kind = type(self.tokenizer)
        plain = all(
            getattr(getattr(kind, name, None), "__module__", "") == _FAST for name in ("_encode_plus", "_decode")
        )
        return self.tokenizer.backend_tokenizer if plain and not self.tokenizer.split_special_tokens else None

    def ids(self, text: str) -> list[int]:
        """Ids of a text without anything added."""
        found: list[int] = self.array(text).tolist()
        return found

    def array(self, text: str) -> np.ndarray:
        """The same as int32 of shape [tokens]."""
        if not text:
            return np.empty(0, np.int32)
        go_on()
        inner = self.backend
        if inner is None or inner.encode_special_tokens or inner.truncation is not None or inner.padding is not None:
            return np.asarray(self.tokenizer(text, add_special_tokens=False)["input_ids"], np.int32)
        return self._ranks.ids(text)

    @cached_property
    def _ranks(self) -> Ranks:
        return Ranks(self.backend)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens included."""
        if self.backend is not None:
            return str(self.backend.decode(list(ids), skip_special_tokens=False))
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def spells(self, ids: np.ndarray, text: str) -> bool:
        """Whether decoding the ids gives just this text."""
        return self._spelling.spells(ids, text) or self.decode(ids.tolist()) == text

    @cached_property
    def _spelling(self) -> Spelling:
        return Spelling(self.backend)

    def parts(self, parts: Sequence[str]) -> list[list[int]]:
        """Ids of each of several consecutive parts of one text.

        The concatenation equals the ids of the whole text wherever no token crosses a boundary.
        """
        return [found.tolist() for found in self.arrays(parts)]

    def arrays(self, parts: Sequence[str]) -> list[np.ndarray]:
        """The same as int32 of shape [tokens]."""
        return self._remembered(tuple(parts))

    def each(self, parts: Sequence[str]) -> list[np.ndarray]:
        """As `arrays`, of a text that does not come again: it is not remembered."""
        quick = self.sections.parts(parts)
        return quick if quick is not None else [np.asarray(ids, np.int32) for ids in self.each_prefix(parts)]

    @cached_property
    def _remembered(self) -> Callable[[tuple[str, ...]], list[np.ndarray]]:
        return lru_cache(_REMEMBERED)(self.each)

    @cached_property
    def sections(self) -> Sections:
        """The text between special tokens, each stretch of which is encoded by itself."""
        return Sections(self.array, self.decode, self.backend)

    def each_prefix(self, parts: Sequence[str]) -> list[list[int]]:
        """As `parts`, for any tokenizer: the text up to every boundary is encoded, which for many parts takes long."""
        whole = self.ids("".join(parts))
        ends: list[int] = []
        done = ""
        for i, part in enumerate(parts[:-1]):
            done += part
            prefix = self.ids(done)
            if whole[: len(prefix)] != prefix:
                return self._cut(parts, i + 1)
            ends.append(len(prefix))
        bounds = [0, *ends, len(whole)]
        return [whole[a:b] for a, b in pairwise(bounds)]

    def join(self, parts: Sequence[str]) -> list[int]:
        """Ids of the parts in one list."""
        return [i for part in self.parts(parts) for i in part]

    def _cut(self, parts: Sequence[str], at: int) -> list[list[int]]:
        """Encode the parts before `at` and the rest apart."""
        left = self.each_prefix(parts[:at])
        flat = [i for part in left for i in part]
        rest = list(parts[at:])
        right = self.each_prefix(rest)
        if self.decode([*flat, *(i for part in right for i in part)]) != self.decode(flat) + "".join(rest):
            right[0] = self._continued(flat, rest[0])
        return left + right

    def _continued(self, before: list[int], text: str) -> list[int]:
        """Ids of `text` in the middle of a line, for tokenizers that put a space before any text they are given.

        Raises:
            RenderError: this tokenizer cannot encode the text after a cut.
        """
        seen = self.decode(before)
        for lead in ("a", "\n", "."):
            anchor, both = self.ids(lead), self.ids(lead + text)
            if both[: len(anchor)] != anchor:
                continue
            rest = both[len(anchor) :]
            if self.decode([*before, *rest]) == seen + self.decode(both)[len(self.decode(anchor)) :]:
                return rest
        raise RenderError("the tokenizer merges text across the start of the answer and cannot encode the answer alone")
