"""Typed schema of a curation: named sources in, one corpus out, and what happens to rows on the way."""

from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from medicalgpt.config.data_source import DataPath, check_shares
from medicalgpt.config.sections import Encodings, Section, TxtRows

Script = Literal["zh", "en"]
CURATE: Final = "curate"
"""The name of the stage in pipelines and manifests."""
_MINHASHES: Final = 256  # more of them find hardly more, and cost as much again


class SourceConfig(Section):
    """One named source of rows."""

    paths: list[DataPath] = Field(min_length=1, description="Files, folders, archives or addresses, as data.train.")
    columns: dict[str, str] = Field(default_factory=dict, description="Which column holds what, as data.columns.")
    encoding: Encodings = Field("auto", description="As data.encoding.")
    txt: TxtRows = Field("file", description="As data.txt: a .txt file is one document, or each line is one.")
    share: float | None = Field(
        None, gt=0, le=1, description="Its share of the corpus' text; null: what it has (see mix.temperature)."
    )

    @field_validator("paths", mode="before")
    @classmethod
    def _list(cls, paths: object) -> object:
        return [paths] if isinstance(paths, str | dict) else paths

    @model_validator(mode="after")
    def _no_shares_within(self) -> Self:
        check_shares(self.paths, "paths")
        return self


class QualityConfig(Section):
    """Which rows are good enough. Their order is that of the report; a row is dropped by the first rule it breaks."""

    min_chars: int = Field(10, ge=0, description="Fewest characters of a row's text; 0: any.")
    max_chars: int | None = Field(None, ge=1, description="Most characters of a row's text; null: any.")
    min_answer: int = Field(2, ge=0, description="Fewest characters of an answer; 0: any.")
    repeated_lines: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Largest share of characters in lines that stood before (arXiv 2112.11446); 1: off.",
    )
    repeated_ngrams: float = Field(
        0.5, ge=0, le=1, description="Largest share of 10-grams of characters that stood before; 1: off."
    )
    symbol_share: float = Field(
        0.5, ge=0, le=1, description="Largest share of characters that are no letter, digit or white space; 1: off."
    )
    damaged_share: float = Field(
        0.002,
        ge=0,
        le=1,
        description="Largest share of characters that decoding damaged (U+FFFD, control, mojibake); 1: off.",
    )
    markup_share: float = Field(0.2, ge=0, le=1, description="Largest share of characters in HTML tags; 1: off.")
    languages: list[Script] = Field(
        default_factory=list, description="Scripts that may prevail in a row: zh, en; empty: any."
    )
    adverts: Literal["drop", "keep"] = Field("drop", description="Rows that send readers to a shop or a chat account.")
    empty_answers: Literal["drop", "keep"] = Field(
        "drop", description="Answers that say nothing (无, 同上, n/a) or repeat the question."
    )
    cut_off: Literal["drop", "keep"] = Field(
        "keep",
        description="Answers and documents that end in the middle of a sentence: with a comma, an open bracket or a dash.",
    )


class PersonalDataConfig(Section):
    """How personal data is found and what becomes of it."""

    enabled: bool = Field(True, description="Look for personal data; false: the report says that nobody looked.")
    languages: list[Script] = Field(["zh", "en"], min_length=1, description="Languages that are looked for.")
    detectors: list[str] = Field(
        ["patterns", "names", "lac"], min_length=1, description="Who looks; lac finds Chinese names with a small model."
    )
    operator: Literal["mask", "surrogate", "shift", "drop"] = Field(
        "mask",
        description="mask: [NAME]-like marks; surrogate: other values of the same kind; shift: dates moved, the rest masked; drop: taken out.",
    )
    key_file: str | None = Field(
        None,
        description="File of 16 secret bytes or more, from which surrogates and shifts are made; needed for those two.",
    )
    on_leak: Literal["stop", "drop"] = Field(
        "stop",
        description="A detector failed on a row, or something found stands in it still. stop: so does the run; drop: the row goes.",
    )

    @model_validator(mode="after")
    def _key(self) -> Self:
        if self.enabled and self.operator in ("surrogate", "shift") and self.key_file is None:
            raise ValueError(f"operator {self.operator} needs key_file: a file of random bytes that only you have")
        return self


class DuplicatesConfig(Section):
    """Rows that say what another row says. Texts are compared without case, width, script of Chinese, space and punctuation."""

    exact: bool = Field(True, description="Drop rows whose whole text (question and answer) stood before.")
    near: bool = Field(True, description="Drop rows whose text is nearly that of another one.")
    questions: Literal["keep", "drop"] = Field(
        "keep", description="Dialogues that ask what an earlier one asks, with another answer."
    )
    jaccard: float = Field(
        0.45,
        gt=0,
        le=1,
        description="Nearly the same: so much of both rows' n-grams is shared. One character in 20 edited leaves 0.63.",
    )
    question_jaccard: float = Field(
        0.2,
        ge=0,
        le=1,
        description="The same of what is asked, for rows that ask: a copied answer to another question is no duplicate; 0: only the whole counts.",
    )
    ngram: int = Field(5, ge=2, le=32, description="Characters of an n-gram.")
    bands: int = Field(32, ge=1, description="MinHash bands; more find more candidates (arXiv 2107.06499).")
    band_rows: int = Field(4, ge=1, description="Hashes in a band; more find fewer candidates.")

    @model_validator(mode="after")
    def _size(self) -> Self:
        if self.bands * self.band_rows > _MINHASHES:
            raise ValueError(
                f"bands × band_rows is {self.bands * self.band_rows}; at most {_MINHASHES} hashes are made: lower one of them"
            )
        return self


class NgramSizes(Section):
    """Characters of the n-grams by which items are found."""

    zh: int = Field(6, ge=3, le=32, description="Of tests in Chinese.")
    en: int = Field(12, ge=3, le=64, description="Of tests in English.")


class Containment(Section):
    """How much of an item must stand together in a row."""

    zh: float = Field(0.6, gt=0, le=1, description="Share of an item's n-grams, Chinese.")
    en: float = Field(0.4, gt=0, le=1, description="Share of an item's n-grams, English.")


class ContaminationConfig(Section):
    """Items of tests in the training data."""

    tests: list[str] = Field(
        default_factory=list, description="Named tests and suites, as `evaluate run --suite` has them."
    )
    folder: str = Field("tests", description="Folder below which the tests' files lie, as `--tests`.")
    files: list[str] = Field(
        default_factory=list, description="Other files whose rows must not be trained on: question and answer, or text."
    )
    ngram: NgramSizes = NgramSizes()
    threshold: Containment = Containment()
    action: Literal["drop", "report"] = Field("drop", description="What becomes of rows that hold an item.")


class HeldOutConfig(Section):
    """Rows that are set apart."""

    fraction: float = Field(
        0.0, ge=0, lt=1, description="Share of the distinct questions or documents that is held out."
    )
    seed: int = Field(42, ge=0, description="Which ones.")


class MixConfig(Section):
    """How much of each source the corpus has; sources with a `share` have it, the others share the rest by their size."""

    unit: Literal["characters", "tokens"] = Field("characters", description="What shares are of.")
    tokenizer: str = Field("smollm2-135m", description="With unit tokens: the model whose tokens count.")
    temperature: float = Field(
        1.0,
        ge=1,
        description="Of sources without a share: sizes to the power of 1/temperature; above 1 small ones gain.",
    )
    max_epochs: float = Field(4.0, ge=1, description="How often a source is repeated at most (arXiv 2305.16264).")
    seed: int = Field(42, ge=0, description="Which rows are taken of a source that is not taken whole.")


class ScaleConfig(Section):
    """How the work is spread. No number depends on it."""

    executor: Literal["local", "datatrove"] = Field(
        "local", description="local: processes of ours; datatrove: its local executor (the extra `scale`)."
    )
    workers: int | None = Field(None, ge=1, description="Processes; null: one for each core.")
    shard_rows: int = Field(20_000, ge=1, description="Rows of a file that one process reads at a time.")
    partitions: int | None = Field(
        None, ge=1, le=4096, description="Parts in which duplicates are looked for; null: one for every 250,000 rows."
    )


class CurateConfig(Section):
    """`medicalgpt data curate`."""

    sources: dict[str, SourceConfig] = Field(min_length=1, description="Where rows come from, by name.")
    on_bad_row: Literal["stop", "drop"] = Field("stop", description="As data.on_bad_row.")
    max_bad_share: float = Field(0.05, ge=0, le=1, description="As data.max_bad_share.")
    quality: QualityConfig = QualityConfig()
    personal_data: PersonalDataConfig = PersonalDataConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()
    contamination: ContaminationConfig = ContaminationConfig()
    held_out: HeldOutConfig = HeldOutConfig()
    mix: MixConfig = MixConfig()
    scale: ScaleConfig = ScaleConfig()
    output_dir: str = Field(description="The run folder.")

    @model_validator(mode="after")
    def _shares(self) -> Self:
        shares = [source.share for source in self.sources.values() if source.share is not None]
        total = sum(shares)
        whole = len(shares) == len(self.sources)
        if whole and abs(total - 1) > 1e-9:
            raise ValueError(f"every source has a share, and together they make {total:g}; they must make 1")
        if shares and not whole and total > 1 - 1e-9:
            raise ValueError(f"the shares make {total:g}, which leaves nothing for sources without one")
        return self
