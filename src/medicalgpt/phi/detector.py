"""From texts to the personal data in them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from medicalgpt.errors import ConfigError
from medicalgpt.phi import en_patterns, zh_patterns
from medicalgpt.phi.fold import fold
from medicalgpt.phi.rules import Rule, find_all
from medicalgpt.phi.spans import Span, merged

LANGUAGES: Final = ("zh", "en")
DETECTORS: Final = ("patterns", "names", "lac")

Finder = Callable[[Sequence[str]], Sequence[Iterable[Span]]]


class Detector:
    """Finds personal data in Chinese (简体, 繁體) and English text, offline.

    Args:
        languages: of the texts, any of "zh" and "en". One text may hold both.
        detectors: any of "patterns" (numbers, dates, addresses), "names" (lists of names and words that stand beside them) and
            "lac" (a small network for Chinese names and places; the extra `curate`). None: all that the languages need.
        more: further finders, each a function from texts to the spans of each; what they find joins the rest.

    Raises:
        ConfigError: an unknown language or detector, or `lac` without Chinese or without its packages.
    """

    def __init__(
        self,
        languages: Sequence[str] = LANGUAGES,
        detectors: Sequence[str] | None = None,
        more: Sequence[Finder] = (),
    ) -> None:
        _check("languages", languages, LANGUAGES)
        if detectors is None:
            detectors = DETECTORS if "zh" in languages else ("patterns", "names")
        _check("detectors", detectors, DETECTORS)
        self.languages = tuple(languages)
        self.detectors = tuple(detectors)
        self._more = tuple(more)
        self._rules: list[Rule] = []
        if "patterns" in detectors:
            self._rules += [*(zh_patterns.RULES if "zh" in languages else ()), *en_patterns.RULES]

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """The personal data of each text, in order of place, without overlaps. Each text is a document of its own."""
        return [spans for (spans,) in self.find_documents([[text] for text in texts])]

    def find_document(self, fields: Sequence[str]) -> list[list[Span]]:
        """The same for the fields of one document: a name found in one of them is found in all."""
        return self.find_documents([fields])[0]

    def find_documents(self, documents: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """The same for many documents, which is faster: documents × fields × spans."""
        texts = [text for fields in documents for text in fields]
        folded = [fold(text) for text in texts]
        found = [find_all(self._rules, text) for text in folded]
        for finder in self._more:
            for spans, added in zip(found, finder(texts), strict=True):
                spans.extend(added)
        each = iter(merged(spans) for spans in found)
        return [[next(each) for _ in fields] for fields in documents]


def _check(key: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    if isinstance(given, str) or not given or (wrong := [name for name in given if name not in allowed]):
        came = repr(given) if isinstance(given, str) or not given else ", ".join(map(repr, wrong))
        raise ConfigError(f"personal data: {key} came as {came}; allowed is a list of {', '.join(allowed)}")
