"""pipeline.json: what a pipeline was to do, beside what it did, so that its folder tells a whole chain from a part of one."""

import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from medicalgpt.config.evaluation import AnyGate
from medicalgpt.errors import RunError
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.manifest import homeless

PLAN: Final = "pipeline.json"
GATES: Final = "gates.json"
SUMMARY: Final = "summary.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedStage(_Part):
    """A stage: its folder's name, what `medicalgpt train` does there, and whether its model answers (a reward model scores)."""

    name: str
    stage: str
    answers: bool


class Plan(_Part):
    """A pipeline as it was last asked for. `command` makes it again; `suites` are the tests that its models were to take."""

    schema_version: Literal[1] = 1
    base: str
    stages: tuple[PlannedStage, ...]
    suites: tuple[str, ...]
    gates: tuple[AnyGate, ...]
    on_block: Literal["stop", "warn"]
    file_sha256: str
    command: str

    def write(self, folder: Path) -> None:
        """Store it in a pipeline's folder, unless it is there already."""
        text = homeless(self.model_dump_json(indent=1, exclude_none=True)) + "\n"
        path = folder / PLAN
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(path, text)


def read_plan(folder: Path) -> Plan:
    """The plan of a pipeline's folder.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / PLAN
    again = "give the command `medicalgpt pipeline run` of this pipeline again, which trains nothing twice"
    try:
        return Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path} is missing: the folder of no pipeline, or of an earlier version; {again}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        wrong = ".".join(map(str, error.errors()[0]["loc"])) or "it is not JSON"
        raise RunError(f"{path} is damaged ({wrong}); {again}") from None


def read_gates(path: Path) -> dict[str, list[dict[str, JsonValue]]]:
    """The verdicts by stage; empty where nothing was judged. Raises RunError where the file is damaged."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(one["verdict"], str) and isinstance(one["name"], str) for s in found.values() for one in s):
            return dict(found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise RunError(f"{path} is damaged; remove it and give the command of the pipeline again, which judges anew")
