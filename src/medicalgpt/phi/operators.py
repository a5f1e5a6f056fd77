"""What is done with personal data that was found: masked, replaced by made-up values, moved in time, or removed."""

import re
from collections.abc import Sequence
from typing import Final

from medicalgpt.errors import ConfigError
from medicalgpt.phi.kinds import Kind, mask_of
from medicalgpt.phi.spans import Span
from medicalgpt.phi.surrogates import Surrogates, same

OPERATORS: Final = ("mask", "surrogate", "shift", "drop")
SHORTEST_KEY: Final = 16
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_TRADITIONAL: Final = re.compile(
    r"[們個這為說時對開關醫診療號電話東車長門見問題體頭應無發點裡經過還進樣區灣國學會來後與從萬歲報銀員處於給藥歷歸]"
)


class Operator:
    """Writes a text anew without the personal data in it.

    - `mask`: `[姓名1]`, `[NAME1]`: a label and a number; the same value has the same number throughout a document.
    - `surrogate`: made-up values of the same form, the same for the same value throughout a document (or a patient); dates are moved.
    - `shift`: dates are moved by the same number of days throughout a document (or a patient); all else is masked.
    - `drop`: nothing in its place.

    Args:
        name: one of these.
        key: at least 16 secret bytes, which decide what replaces what; `surrogate` and `shift` need them. Who has the key and the
            new text can test guesses of the old one, so keep it apart or throw it away.

    Raises:
        ConfigError: an unknown name, or a key that is missing, too short, or given to an operator that uses none.
    """

    def __init__(self, name: str, key: bytes | None = None) -> None:
        if name not in OPERATORS:
            raise ConfigError(f"personal data: the operator came as {name!r}; allowed are {', '.join(OPERATORS)}")
        if name in ("surrogate", "shift") and (key is None or len(key) < SHORTEST_KEY):
            came = "none" if key is None else f"{len(key)} bytes"
            raise ConfigError(f"personal data: {name} needs a key of at least {SHORTEST_KEY} bytes; {came} came")
        if name in ("mask", "drop") and key is not None:
            raise ConfigError(f"personal data: {name} uses no key; leave it out")
        self.name = name
        self._key = key

    def apply(self, text: str, spans: Sequence[Span], patient: str | None = None) -> str:
        """One text that is a document of its own; see `apply_document`."""
        return self.apply_document([text], [spans], patient)[0]

    def apply_document(
        self, fields: Sequence[str], spans: Sequence[Sequence[Span]], patient: str | None = None
    ) -> list[str]:
        """The fields of one document, written anew; what one value became is the same in all of them.

        Args:
            fields: the texts that the spans were found in.
            spans: of each field, in order and without overlaps, as `Detector` and `merged` give them.
            patient: whose document it is, so that all documents of a patient get the same surrogates and the same shift; None: each
                document gets its own.

        Raises:
            ValueError: spans that are out of order, overlap, or lie outside of their field.
        """
        if len(fields) != len(spans):
            raise ValueError(f"{len(fields)} fields came with spans of {len(spans)}; each field needs its own list")
        for field, found in zip(fields, spans, strict=True):
            _check_order(field, found)
        writer = self._writer(fields, patient)
        return [_rewritten(field, found, writer) for field, found in zip(fields, spans, strict=True)]

    def _writer(self, fields: Sequence[str], patient: str | None) -> "_Writer":
        if self._key is None:
            return _Writer(self.name, _script(fields), None)
        scope = f"patient {patient}" if patient is not None else "document " + "\x00".join(fields)
        return _Writer(self.name, _script(fields), Surrogates(self._key, scope))


class _Writer:
    """What stands for each value of one document."""

    def __init__(self, operator: str, script: int, surrogates: Surrogates | None) -> None:
        self._operator, self._script, self._surrogates = operator, script, surrogates
        self._numbers: dict[Kind, dict[str, int]] = {}

    def __call__(self, kind: Kind, value: str) -> str:
        if self._operator == "drop":
            return ""
        if self._surrogates is not None:
            if kind is Kind.DATE and (moved := self._surrogates.date(value)) is not None:
                return moved
            if self._operator == "surrogate" and kind is not Kind.DATE:
                return self._surrogates.value(kind, value)
        return self._label(kind, value)

    def _label(self, kind: Kind, value: str) -> str:
        numbers = self._numbers.setdefault(kind, {})
        number = numbers.setdefault(same(value), len(numbers) + 1)
        return mask_of(kind, self._script, number)


def _script(fields: Sequence[str]) -> int:
    """Column of `kinds.LABELS`: 0 for text without Chinese characters, 1 for 简体, 2 for 繁體."""
    if not any(_HAN.search(field) for field in fields):
        return 0
    return 2 if any(_TRADITIONAL.search(field) for field in fields) else 1


def _check_order(field: str, spans: Sequence[Span]) -> None:
    at = 0
    for span in spans:
        if span.start < at or span.end > len(field):
            raise ValueError(
                f"a span from {span.start} to {span.end} came after one that ends at {at}, in a text of {len(field)} characters; "
                "spans must be in order, inside the text, and not overlap: see medicalgpt.phi.merged"
            )
        at = span.end


def _rewritten(field: str, spans: Sequence[Span], writer: _Writer) -> str:
    parts, at = [], 0
    for span in spans:
        parts += [field[at : span.start], writer(span.kind, field[span.start : span.end])]
        at = span.end
    return "".join([*parts, field[at:]])
