"""Finders that others made, by name: `spacy:MODEL`, `presidio:MODEL`, `transformers:FOLDER`. Their labels
become our kinds.

Nothing is fetched: a package, a model or a folder that is not there is an error that says what to install.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

from medicalgpt.errors import ConfigError
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.spans import Span

Finder = Callable[[Sequence[str]], Sequence[Iterable[Span]]]
FOREIGN: Final = ("spacy", "presidio", "transformers")
SURE: Final = 0.7
"""Confidence of what they find: below words that announce a find, enough to be looked for in the whole document."""
STRIDE: Final = 64
"""Tokens that two windows of a text share, where it is longer than a token classifier reads."""

_KINDS: Final = (
    (r"PER(SON)?|NAMES?|PATIENT|DOCTOR|STAFF|HCW|USERNAME|(FIRST|LAST|MIDDLE|GIVEN|SUR|FULL)_?NAME", Kind.NAME),
    (r"(LOC(ATION)?|GPE|FAC(ILITY)?|ADDRESS|(STREET|CITY|COUNTY|ZIP|POST|BUILDING|SECONDARY).*|GEO.*)", Kind.ADDRESS),
    (r"ORG(ANI[ZS]ATION)?|HOSP(ITAL)?|PATORG|COMPANY.*|EMPLOYER|SCHOOL|VENDOR", Kind.ORGANIZATION),
    (r"DATE(_?TIME)?|DOB|BIRTH_?DATE|DATE_?OF_?BIRTH", Kind.DATE),
    (r"AGE", Kind.AGE),
    (r"(TELE)?PHONE(_?(NUMBER|IMEI))?|MOBILE", Kind.PHONE),
    (r"FAX.*", Kind.FAX),
    (r"E?_?MAIL(_?ADDRESS)?", Kind.EMAIL),
    (r"IP(V[46])?(_?ADDRESS)?", Kind.IP),
    (r"URL|DOMAIN(_?NAME)?|WEBSITE", Kind.URL),
    (r"(US_?)?(SSN|ITIN)|SOCIAL.*|(NATIONAL|US)_?ID.*", Kind.NATIONAL_ID),
    (r"(US_?)?PASSPORT.*", Kind.PASSPORT),
    (r"MRN|MEDICAL_?RECORD.*|RECORD.*", Kind.RECORD),
    (r"HEALTH_?PLAN.*|INSURANCE.*", Kind.INSURANCE),
    (r"(CREDIT_?CARD|ACCOUNT|IBAN|US_?BANK|BANK|CRYPTO|BIC|BITCOIN).*", Kind.ACCOUNT),
    (r"(US_?DRIVER|MEDICAL)?_?LICEN[SC]E.*|.*DRIVER_?LICEN[SC]E.*|CERTIFICATE.*", Kind.LICENSE),
    (r"VEHICLE.*|VIN|(LICENSE_?)?PLATE.*", Kind.VEHICLE),
    (r"DEVICE.*|MAC(_?ADDRESS)?", Kind.DEVICE),
)
_KIND_OF: Final = tuple((re.compile(form), kind) for form, kind in _KINDS)
_NOBODY: Final = re.compile(
    r"O|MISC.*|NRP|NORP|CARDINAL|ORDINAL|PERCENT|MONEY|QUANTITY|TIME|EVENT|WORK_OF_ART|LAW|LANGUAGE|PRODUCT|PREFIX|TITLE|GENDER|SEX|JOB.*|PROFESSION|CURRENCY.*|AMOUNT"
)
"""Labels of what tells of nobody."""
_DAY: Final = re.compile(
    r"\d\D+\d|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\.?\s+\d|\d+\w{0,2}\s+(?:of\s+)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    re.IGNORECASE,
)
_LASTS: Final = re.compile(r"\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|decades?|old)\b", re.IGNORECASE)


class _Recognizer(Protocol):
    def __call__(self, texts: Sequence[str]) -> Iterable[Iterable[tuple[int, int, str]]]: ...


def by_name(name: str) -> Finder:
    """The finder of a name.

    Raises:
        ConfigError: no such kind of finder, or its package, its model or its folder is not there.
    """
    package, _, model = name.partition(":")
    makers: dict[str, Callable[[str], _Recognizer]] = {
        "spacy": _spacy,
        "presidio": _presidio,
        "transformers": _transformers,
    }
    if package not in makers or not model:
        raise ConfigError(
            f"personal data: the detector came as {name!r}; of others' detectors, allowed are spacy:MODEL, presidio:MODEL (a model "
            "of spaCy that is installed) and transformers:FOLDER (a token classifier on this disk)"
        )
    recognize = makers[package](model)

    def find(texts: Sequence[str]) -> list[list[Span]]:
        found = zip(texts, recognize(texts), strict=True)
        return [[span for one in spans if (span := _span(text, *one, package))] for text, spans in found]

    return find


def kind_of(label: str) -> Kind | None:
    """Our kind for another's label, its B- or I- left out; None where it tells of nobody. An unknown one is an identifier."""
    plain = re.sub(r"^[BILUES]-", "", label.strip()).upper().replace("-", "_").replace(" ", "_")
    if _NOBODY.fullmatch(plain):
        return None
    return next((kind for form, kind in _KIND_OF if form.fullmatch(plain)), Kind.OTHER_ID)


def _span(text: str, start: int, end: int, label: str, source: str) -> Span | None:
    kind, value = kind_of(label), text[start:end]
    if kind is None or not value.strip():
        return None
    if kind is Kind.DATE and (not _DAY.search(value) or _LASTS.search(value)):
        return None  # "last year", "two weeks", 2019: no finer than a year, or no date
    if kind is Kind.AGE and not any(int(number) > 89 for number in re.findall(r"\d{2,3}", value)):
        return None
    return Span(start, end, kind, source, SURE)


def _need(package: str, module: str) -> None:
    if find_spec(module) is None:
        raise ConfigError(
            f"personal data: a detector of {package} needs the package {package}, which is not installed; install it "
            f"(pip install {package}) or leave it out of `detectors`"
        )


def _model_of_spacy(model: str) -> None:
    from spacy.util import is_package

    if not (is_package(model) or Path(model).is_dir()):
        raise ConfigError(
            f"personal data: spaCy has no model {model}: no package of that name is installed and no folder is there; "
            "install one (python -m spacy download en_core_web_sm) or name a folder"
        )


def _spacy(model: str) -> _Recognizer:
    _need("spacy", "spacy")
    _model_of_spacy(model)
    import spacy

    pipeline = spacy.load(model, disable=["parser", "lemmatizer", "attribute_ruler", "tagger"])
    pipeline.max_length = 10**8  # without the parser, memory grows with a text and not faster

    def recognize(texts: Sequence[str]) -> Iterable[list[tuple[int, int, str]]]:
        return ([(e.start_char, e.end_char, e.label_) for e in doc.ents] for doc in pipeline.pipe(texts, batch_size=32))

    return recognize


def _presidio(model: str) -> _Recognizer:
    _need("presidio-analyzer", "presidio_analyzer")
    _need("spacy", "spacy")
    _model_of_spacy(model)
    suffixes = import_module("tldextract.tldextract")  # its usual extractor fetches a list of domains
    vars(suffixes)["TLD_EXTRACTOR"] = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)
    analyzer = import_module("presidio_analyzer")
    engines = import_module("presidio_analyzer.nlp_engine")
    models = [{"lang_code": "en", "model_name": model}]
    engine = engines.NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyze = analyzer.AnalyzerEngine(nlp_engine=engine).analyze

    def recognize(texts: Sequence[str]) -> Iterable[list[tuple[int, int, str]]]:
        return ([(r.start, r.end, r.entity_type) for r in analyze(text=text, language="en")] for text in texts)

    return recognize


def _transformers(folder: str) -> _Recognizer:
    place = Path(folder).expanduser()
    if not (place / "config.json").is_file():
        raise ConfigError(
            f"personal data: {folder} holds no token classifier (no config.json); name the folder of one that was downloaded"
        )
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(str(place), local_files_only=True)
    model = AutoModelForTokenClassification.from_pretrained(str(place), local_files_only=True)
    reads = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512))
    tokenizer.model_max_length = min(reads, 512)
    classify = pipeline(
        "token-classification",
        model=model,
        tokenizer=tokenizer,
        aggregation_strategy="first",
        stride=min(STRIDE, tokenizer.model_max_length // 4),
    )

    def recognize(texts: Sequence[str]) -> Iterable[list[tuple[int, int, str]]]:
        filled = [text or " " for text in texts]
        for found in classify(filled, batch_size=8) if filled else []:
            yield [(int(e["start"]), int(e["end"]), str(e["entity_group"])) for e in found]

    return recognize
