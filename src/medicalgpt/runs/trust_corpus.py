"""What trust.json says of a curated corpus that a model was trained on."""

from medicalgpt.runs.trust_parts import DataFile, Part


class SearchedTest(Part):
    """A test whose items the corpus was searched for: how many it has, how many stand in how many of the rows read, and how many are
    in the corpus still."""

    name: str
    items: int
    found: int
    verbatim: int
    rows: int
    in_corpus: int


class Corpus(Part):
    """A curation. `stages` were trained on what it wrote; `files` are the raw ones, with the hashes that they have now.

    `personal_data`: whether anybody looked for it, with which detectors, what became of it (`operator`), in how many rows it was,
    and how often of each kind.
    """

    name: str
    stages: list[str]
    manifest_sha256: str
    rows: int
    kept: int
    dropped: int
    held_out: int
    written: int
    reasons: dict[str, int]
    personal_data: bool
    detectors: list[str]
    operator: str | None
    personal_rows: int
    personal_found: dict[str, int]
    tests: list[SearchedTest]
    shares: dict[str, float]
    files: list[DataFile]
