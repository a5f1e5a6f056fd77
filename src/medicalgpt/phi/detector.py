"""From texts to the personal data in them."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from medicalgpt.errors import ConfigError
from medicalgpt.phi import (
    en_abroad,
    en_dates,
    en_names,
    en_numbers,
    en_places,
    en_streets,
    lac,
    lac_names,
    net_patterns,
    zh_called,
    zh_classics,
    zh_codes,
    zh_contacts,
    zh_dates,
    zh_establishments,
    zh_hk_addresses,
    zh_institutions,
    zh_jotted_days,
    zh_latin_beside,
    zh_latin_names,
    zh_names,
    zh_numbers,
    zh_places,
    zh_romanized,
    zh_short_dates,
    zh_short_names,
)
from medicalgpt.phi.fold import fold, latin, lettered
from medicalgpt.phi.foreign import FOREIGN, Finder, by_name
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.near_people import NearPeople
from medicalgpt.phi.prefilter import Prefilter
from medicalgpt.phi.propagate import whole
from medicalgpt.phi.rules import Rule, find_all, with_digits
from medicalgpt.phi.spans import Span

LANGUAGES: Final = ("zh", "en")
DETECTORS: Final = ("patterns", "names", "lac")
_LETTERS: Final = re.compile(r"[^\W\d_][^\WA-Z\d_]|[^\W\d_]{2}[ ,./^-]{1,3}[^\W\d_]|[A-Z]\.|[A-Z]{2}[:,]? ?\d{5}")
"""Letters that may be of a name or a street, in a text without ideographs: no CT, T3 or mRNA alone."""


class Detector:
    """Finds personal data in Chinese (简体, 繁體) and English text, offline.

    Args:
        languages: of the texts, any of "zh" and "en". One text may hold both.
        detectors: any of "patterns" (numbers, dates, addresses), "names" (lists of names and words that stand beside them) and
            "lac" (a small network for Chinese names and places; the extra `curate`), "spacy:MODEL", "presidio:MODEL" and
            "transformers:FOLDER" (others' that are installed). None: all of ours that the languages need.
        more: further finders, each a function from texts to the spans of each; what they find joins the rest.

    Raises:
        ConfigError: an unknown language or detector, `lac` without Chinese, or a package or model that is not there.
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
        foreign = [name for name in detectors if not isinstance(detectors, str) and name.partition(":")[0] in FOREIGN]
        _check("detectors", detectors, (*DETECTORS, *foreign), "spacy:MODEL, presidio:MODEL, transformers:FOLDER")
        self.languages = tuple(languages)
        self.detectors = tuple(detectors)
        if "lac" in detectors:
            if "zh" not in languages:
                raise ConfigError(
                    "personal data: the detector lac reads Chinese; add zh to `languages` or leave lac out of `detectors`"
                )
            lac.require()
        self._rules, self._latin, self._words = _rules(self.languages, self.detectors)
        self._prefilter = Prefilter(self._rules, self._latin, self._words)
        self._listed: list[Callable[[str], list[Span]]] = _finders(self.languages) if "names" in detectors else []
        self._near = NearPeople(self.languages, self.detectors)
        self._network = "lac" in detectors
        self._batched: list[Finder] = [*more, *map(by_name, foreign)]

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
        found = [self.by_rules(text) for text in folded]
        for finder in self._batched:
            for spans, added in zip(found, finder(folded), strict=True):
                spans.extend(added)
        if self._network:
            of = [number for number, fields in enumerate(documents) for _ in fields]
            for spans, added in zip(found, lac_names.by_network(folded, found, of), strict=True):
                spans.extend(added)
        each, known = iter(found), iter(folded)
        return [whole([next(known) for _ in fields], [next(each) for _ in fields], self._near) for fields in documents]

    def by_rules(self, folded: str) -> list[Span]:
        """What patterns and lists alone find in one folded text (`fold`), overlaps and what is never masked included."""
        rules, latin_rules, word_rules = self._prefilter.worth(folded)
        spans = find_all(rules, folded)
        if not latin_rules and not lettered(folded):
            return zh_classics.without_classics(folded, spans)
        words = latin(folded)
        spans += find_all(latin_rules, words)
        if _LETTERS.search(words):
            spans += find_all(word_rules, words)
            for finder in self._listed:
                spans.extend(finder(words))
        return zh_classics.without_classics(folded, spans)


def _finders(languages: Sequence[str]) -> list[Callable[[str], list[Span]]]:
    """What looks through words in Latin letters and is no pattern."""
    found: list[Callable[[str], list[Span]]] = [en_places.by_list, en_names.by_lists] if "en" in languages else []
    return [*found, *([zh_latin_names.by_shape] if "zh" in languages else [])]


def _rules(languages: Sequence[str], detectors: Sequence[str]) -> tuple[tuple[Rule, ...], ...]:
    """The patterns of these languages; apart from them those to which a Chinese character before or behind is a border, and of
    these, those of words in Latin letters. Addresses of the net are the same for all: a Chinese record holds e-mail addresses too."""
    rules: list[Rule] = []
    latin_rules: list[Rule] = []
    words: list[Rule] = []
    if "patterns" in detectors:
        latin_rules += net_patterns.RULES
        rules += (
            [
                *(rule for rule in zh_contacts.RULES if rule.kind is Kind.CHAT),
                *with_digits(rule for rule in zh_contacts.RULES if rule.kind is not Kind.CHAT),
                *with_digits(zh_numbers.RULES),
                *with_digits(zh_codes.RULES),
                *zh_dates.RULES,
                *zh_short_dates.RULES,
                *zh_jotted_days.RULES,
                *zh_places.RULES,
                *zh_institutions.RULES,
                *zh_establishments.RULES,
            ]
            if "zh" in languages
            else []
        )
        rules += en_numbers.RULES if "en" in languages else ()
        latin_rules += en_dates.RULES if "en" in languages else ()
        words += zh_hk_addresses.RULES if "zh" in languages else ()
        words += [*en_streets.RULES, *en_places.RULES, *en_abroad.RULES] if "en" in languages else []
    if "names" in detectors:
        rules += (
            (
                *zh_names.RULES,
                *zh_called.RULES,
                *zh_short_names.RULES,
                *zh_romanized.BESIDE,
                *zh_latin_beside.RULES,
                *zh_latin_beside.BESIDE,
            )
            if "zh" in languages
            else ()
        )
        words += (*zh_romanized.RULES, *zh_latin_beside.WORDS) if "zh" in languages else ()
        words += en_names.RULES if "en" in languages else ()
    return tuple(rules), tuple(latin_rules), tuple(words)


def _check(key: str, given: Sequence[str], allowed: Sequence[str], further: str = "") -> None:
    if isinstance(given, str) or not given or (wrong := [name for name in given if name not in allowed]):
        came = repr(given) if isinstance(given, str) or not given else ", ".join(map(repr, wrong))
        named = ", ".join([*(name for name in allowed if ":" not in name), *([further] if further else [])])
        raise ConfigError(f"personal data: {key} came as {came}; allowed is a list of {named}")
