"""An entry of a list of data: a path or a hub's address, alone or with how much of it is taken."""

from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from medicalgpt.errors import DataError
from medicalgpt.hub.address import Address, is_commit, parse

TAGS: Final = ("(path)", "(source)")
"""What pydantic calls the two forms of an entry where it says what is wrong."""
_ROOM: Final = 1e-9  # between a sum of decimal fractions and 1


def _address(path: str) -> Address | None:
    try:
        return parse(path)
    except DataError as error:
        raise ValueError(str(error)) from None


def _path(path: str) -> str:
    _address(path)
    return path


class DataSource(BaseModel):
    """`{path: …, rows: 500, share: 0.3}`: some data, and how much of it is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        description="A file, folder or archive, or an address of a hub: hf://owner/name, ms://owner/name."
    )
    rows: int | None = Field(None, ge=1, description="Only so many rows, the first ones as they are read; null: all.")
    share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of an epoch's tokens (with rollouts: prompts) that comes from here; null: all rows once.",
    )
    commit: str | None = Field(None, description="The commit at which a hub's address is read; a run notes it here.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        address = _address(self.path)
        if self.commit is not None and (address is None or not is_commit(self.commit)):
            raise ValueError("commit belongs to an address of a hub and has 40 hexadecimal digits")
        if address is not None and address.rows is not None and self.rows is not None:
            raise ValueError("rows is given twice, behind # and by itself; leave one out")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        written: dict[str, object] = write(self)
        return {name: value for name, value in written.items() if value is not None}


DataPath = Annotated[
    Annotated[str, AfterValidator(_path), Tag(TAGS[0])] | Annotated[DataSource, Tag(TAGS[1])],
    Discriminator(lambda value: TAGS[isinstance(value, dict | DataSource)]),
]


def path_of(given: str | DataSource) -> str:
    """The path or address alone."""
    return given if isinstance(given, str) else given.path


def share_of(given: object) -> float | None:
    """The share that an entry asks for; None where it is read as it is."""
    return given.share if isinstance(given, DataSource) else None


def check_shares(given: Iterable[str | DataSource], key: str, allowed: bool = False) -> None:
    """Refuse shares where there are none, and those that no mix can have.

    Raises:
        ValueError: in words for the user.
    """
    entries = list(given)
    shares = [share for share in map(share_of, entries) if share is not None]
    if not shares:
        return
    if not allowed:
        raise ValueError(f"{key} takes no share, only rows; data.train does")
    total = sum(shares)
    if len(shares) == len(entries) and abs(total - 1) > _ROOM:
        raise ValueError(f"every entry of {key} has a share, and together they make {total:g}; they must make 1")
    if len(shares) < len(entries) and total > 1 - _ROOM:
        raise ValueError(
            f"the shares of {key} make {total:g}, which leaves nothing for entries without one; let them make less than 1"
        )
