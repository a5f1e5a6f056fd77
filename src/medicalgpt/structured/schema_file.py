"""A JSON schema from a file."""

import json
from pathlib import Path
from typing import Final

from medicalgpt.errors import ServeError
from medicalgpt.structured.constraint import Constraint

_MOST_BYTES: Final = 2**20


def read_schema(path: Path) -> Constraint:
    """What answers are held to by the schema in a file.

    Raises:
        ServeError: it cannot be read, is no JSON, or as `Constraint.json_schema`.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ServeError(f"{path} has more than {_MOST_BYTES} bytes; give a file with one JSON schema")
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ServeError(f"{path} cannot be read ({error.strerror}); give a file with a JSON schema") from None
    except json.JSONDecodeError as error:
        raise ServeError(f"{path}:{error.lineno}: no JSON ({error.msg}); give a file with a JSON schema") from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise ServeError(f"{path} is not JSON in UTF-8; give a file with a JSON schema") from None
    return Constraint.json_schema(schema, str(path))
