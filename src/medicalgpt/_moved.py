"""Old homes of modules whose names were printed in notebooks: they are found in their new place for one more version."""

import importlib
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # as typing's: importing the package must cost nothing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

MOVED = {
    "medicalgpt.models.quiet": "medicalgpt.models.console",
    "medicalgpt.train": "medicalgpt.training",
    "medicalgpt.train.inspect": "medicalgpt.training.inspect",
    "medicalgpt.train.reward": "medicalgpt.runs.reward_report",
}
"""Old module → new one. Everything that is public has its name in `medicalgpt` itself."""


class _OldRoom(type(sys)):  # type: ignore[misc]  # the class of modules, without importing types
    """Importing the old room `medicalgpt.train` takes the place of the function of that name, so it answers as one."""

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        """As `medicalgpt.train`."""
        return importlib.import_module("medicalgpt.api.training").train(*args, **kwargs)


class _Finder:
    """Finder and loader (importlib.abc); asked last, so only about names that nothing else knows."""

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        if fullname not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]  # a loader by its methods

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        return _OldRoom(spec.name)

    def exec_module(self, module: "ModuleType") -> None:
        import warnings

        name, new = module.__name__, MOVED[module.__name__]
        warnings.warn(
            f"{name} is {new} now; what is public is in `medicalgpt` itself, e.g. `from medicalgpt import Engine`",
            DeprecationWarning,
            stacklevel=6,  # past importlib's own frames: the line that imports the old name
        )
        found = importlib.import_module(new)
        vars(module).update({key: value for key, value in vars(found).items() if not key.startswith("__")})


def install() -> None:
    """Let Python ask for old names here, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
