"""Personal data out of rows. What a detector cannot look at does not pass: the run stops, or the row goes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from medicalgpt.config.curation import PersonalDataConfig
from medicalgpt.curation.rows import JsonRow, texts_in, with_texts
from medicalgpt.errors import ConfigError, MedicalGPTError, RunError
from medicalgpt.phi import Detector, Operator, Span, standing

FAILED: Final = "personal data: a detector failed on it"
LEAKED: Final = "personal data: something found in it stands there still"


class Finds(Protocol):
    """What finds personal data: documents × fields × spans."""

    def find_documents(self, documents: Sequence[Sequence[str]]) -> list[list[list[Span]]]: ...


@dataclass(frozen=True)
class Cleaned:
    """A row without personal data, and how often each kind was found in it; no row where it must not pass, and why."""

    row: JsonRow | None
    found: Counter[str] = field(default_factory=Counter)
    reason: str = ""
    kinds_left: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    """Kind and text of everything found: for --review alone, and never written otherwise."""


class Cleaner:
    """Finds and rewrites by a config.

    Raises:
        ConfigError: detectors, languages, operator or key do not fit together, or the key cannot be read.
    """

    def __init__(self, config: PersonalDataConfig, detector: Finds | None = None) -> None:
        self._detector = detector or Detector(config.languages, _fitting(config))
        self._operator = Operator(config.operator, read_key(config))

    def clean(self, rows: Sequence[JsonRow]) -> list[Cleaned]:
        """Each row, cleaned."""
        fields = [list(texts_in(row)) for row in rows]
        try:
            found = self._detector.find_documents(fields)
        except MedicalGPTError:
            raise  # a setting or a package that is missing: no fault of a row
        except Exception:
            if len(rows) == 1:
                return [Cleaned(None, reason=FAILED)]
            return [cleaned for row in rows for cleaned in self.clean([row])]
        return [self._cleaned(row, texts, spans) for row, texts, spans in zip(rows, fields, found, strict=True)]

    def _cleaned(self, row: JsonRow, texts: list[str], spans: list[list[Span]]) -> Cleaned:
        if not any(spans):
            return Cleaned(row)
        counts = Counter(str(span.kind) for one in spans for span in one)
        values = [(span.kind, text[span.start : span.end]) for text, one in zip(texts, spans) for span in one]
        written = self._operator.apply_document(texts, spans)
        told = tuple((str(kind), value) for kind, value in values)
        if left := standing(written, values):
            return Cleaned(None, counts, LEAKED, tuple(sorted(map(str, left))), told)
        each = iter(written)
        changed = with_texts(row, lambda text: next(each))
        assert isinstance(changed, dict)  # a row is one
        return Cleaned(changed, counts, values=told)


def refuse(place: str, cleaned: Cleaned) -> RunError:
    """What stops a run at a row (`on_leak: stop`)."""
    kinds = f" ({', '.join(cleaned.kinds_left)})" if cleaned.kinds_left else ""
    return RunError(
        f"{place}: {cleaned.reason}{kinds}; nothing of it was written. Take the row out, choose other detectors "
        "(personal_data.detectors), or set personal_data.on_leak=drop to leave such rows out and count them"
    )


def read_key(config: PersonalDataConfig) -> bytes | None:
    """The secret bytes of a config's operator; None where it needs none. Raises ConfigError where they cannot be read."""
    if config.operator not in ("surrogate", "shift"):
        return None
    try:
        return Path(config.key_file or "").expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"personal_data.key_file: {config.key_file} cannot be read: {error.strerror}") from None


def _fitting(config: PersonalDataConfig) -> list[str]:
    """The detectors that the languages have use for: the small network knows Chinese alone."""
    return [name for name in config.detectors if name != "lac" or "zh" in config.languages]
