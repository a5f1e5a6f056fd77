"""Canaries: rows with a drawn secret that are trained along, so that it can be measured whether secrets are learned.

Carlini et al. 2019, The Secret Sharer (arXiv 1802.08232). The secret of a canary is drawn evenly, so a model that has not seen it
ranks it evenly among all candidates, whatever digits it likes.
"""

import json
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medicalgpt.disk.private import private_files
from medicalgpt.errors import DataError
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_text

CanaryKind = Literal["dialogue", "document"]
CanaryLanguage = Literal["en", "zh"]
KEY_VERSION: Final = 1
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which look like digits
_NAME: Final = 4
_MOST_BYTES: Final = 64 << 20


class Canary(BaseModel):
    """One planted secret: what it is asked by, the answer with `{secret}` for its place, and how often it stands in the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field(max_length=500)
    answer: str = Field(max_length=500, pattern=r"\{secret\}")
    secret: str = Field(pattern=r"^[0-9]{1,18}$")
    repeats: int = Field(ge=1)

    def with_secret(self, secret: str) -> str:
        """The answer with another secret."""
        return self.answer.replace("{secret}", secret)

    @property
    def id(self) -> str:
        """A name that gives nothing away."""
        return hash_text(self.question)[:12]

    def row(self, kind: CanaryKind) -> dict[str, object]:
        """The training row."""
        whole = self.with_secret(self.secret)
        if kind == "document":
            return {"text": whole}
        turns = (("user", self.question), ("assistant", whole))
        return {"messages": [{"role": role, "content": content} for role, content in turns]}


class CanaryKey(BaseModel):
    """What is needed to look for canaries again. It holds the secrets, so it is for its owner's eyes only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = KEY_VERSION
    kind: CanaryKind
    digits: int = Field(ge=2, le=18)
    seed: int
    canaries: list[Canary] = Field(min_length=1, max_length=10_000)


@cache
def _sayings() -> dict[str, list[dict[str, str]]]:
    path = Path(__file__).with_name("canaries.yaml")
    found: dict[str, list[dict[str, str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def draw(
    count: int, digits: int, repeats: Sequence[int], languages: Sequence[CanaryLanguage], kind: CanaryKind, seed: int
) -> CanaryKey:
    """`count` canaries with secrets of so many digits; languages, sayings and repeats take turns."""
    dice = random.Random(f"canaries {seed}")
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(dice.choice(_LETTERS) for _ in range(_NAME))] = None
    found = []
    for number, name in enumerate(names):
        sayings = _sayings()[languages[number % len(languages)]]
        saying = sayings[number // len(languages) % len(sayings)]
        found.append(
            Canary(
                question=saying["question"].replace("{name}", name),
                answer=saying["answer"].replace("{name}", name),
                secret="".join(dice.choice("0123456789") for _ in range(digits)),
                repeats=repeats[number % len(repeats)],
            )
        )
    return CanaryKey(kind=kind, digits=digits, seed=seed, canaries=found)


def plant(key: CanaryKey, output: Path, data: Path | None = None) -> Path:
    """Write the training rows, and beside them the key.

    Args:
        output: a .jsonl file that does not exist.
        data: a .jsonl file whose rows are copied there, the canaries at drawn places among them; None: the canaries alone.

    Returns:
        The key's file.

    Raises:
        DataError: a file exists, is of another type, or cannot be read.
    """
    place = output.with_suffix(".key.json")
    for path in (output, data):
        if path is not None and path.suffix != ".jsonl":
            raise DataError(
                f"{path}: canaries are planted into .jsonl files; for other types plant them into a file of their own (without "
                "--data) and name both files in data.train"
            )
    for path in (output, place):
        if path.exists():
            raise DataError(f"{path} exists; name another file, or move it")
    own = [json.dumps(c.row(key.kind), ensure_ascii=False) for c in key.canaries for _ in range(c.repeats)]
    rest = list(_lines(data))
    dice = random.Random(f"places {key.seed}")
    dice.shuffle(own)
    places = set(dice.sample(range(len(own) + len(rest)), len(own)))
    planted, others = iter(own), iter(rest)
    mixed = [next(planted if number in places else others) for number in range(len(own) + len(rest))]
    with private_files():
        write_text(output, "".join(f"{line}\n" for line in mixed))
        write_text(place, key.model_dump_json(indent=1) + "\n")
    return place


def _lines(data: Path | None) -> Iterator[str]:
    if data is None:
        return
    try:
        for line in data.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{data} cannot be read as UTF-8 text: {error.__class__.__name__}") from None


def read_key(path: Path) -> CanaryKey:
    """The key that `plant` wrote. Raises DataError, which shows nothing of what it holds."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is no key of canaries: it has more than {_MOST_BYTES >> 20} MiB")
        return CanaryKey.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; `medicalgpt evaluate plant` writes it") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        raise DataError(
            f"{path} is no key of canaries ({where}: {first['type']}); `medicalgpt evaluate plant` writes it"
        ) from None
