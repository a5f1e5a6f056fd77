"""trust.json: what may be said of a model, as numbers for programs; trust.html shows it. Language-free, documented, versioned.

It lies in the folder of a run or of a pipeline and is written by `medicalgpt report`. Model cards and the web page read it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from medicalgpt import __version__
from medicalgpt.errors import RunError
from medicalgpt.runs.trust_corpus import Corpus
from medicalgpt.runs.trust_parts import (
    Certificate,
    Data,
    Estimate,
    GateLine,
    Group,
    HeldOut,
    Instrument,
    License,
    Link,
    Model,
    Part,
    RewardModel,
    Sample,
    Stage,
    Test,
    Unmeasured,
    Verdict,
)

NAME: Final = "trust.json"
PAGE: Final = "trust.html"
SCHEMA_VERSION: Final = 1


class Trust(Part):
    """The whole of it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["run", "pipeline"]
    name: str
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    medicalgpt: str = __version__
    verdict: Verdict
    stages: list[Stage]
    gates: list[GateLine]
    models: list[Model]
    groups: list[Group]
    tests: list[Test]
    instruments: list[Instrument]
    compared: dict[str, dict[str, Estimate]]
    held_out: list[HeldOut]
    reward_models: list[RewardModel]
    corpora: list[Corpus] = Field(default_factory=list)
    data: list[Data]
    licenses: list[License]
    lineage: list[Link]
    certificates: list[Certificate]
    samples: list[Sample]
    not_measured: list[Unmeasured]
    commands: list[str]
    versions: dict[str, str]


def read_trust(path: Path) -> Trust | None:
    """The report at `path`; None where there is none.

    Raises:
        RunError: it is damaged, or of another version of the format.
    """
    try:
        return Trust.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        wrong = ".".join(map(str, error.errors()[0]["loc"])) or "it is not JSON"
        raise RunError(f"{path} is damaged or of another version ({wrong}); make it again: medicalgpt report") from None
