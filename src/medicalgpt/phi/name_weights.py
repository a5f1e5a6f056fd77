"""The numbers of the score of names, as data: `benchmarks/phi_fit.py` writes them."""

from typing import Final

from medicalgpt.phi.lists import words


def weights_of(name: str) -> dict[str, float]:
    """A list of a thing and its weight a line."""
    return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in words(name))}


NAMES: Final = weights_of("zh/weights_names")
"""Of the features of `name_features`."""
COMPANY: Final = weights_of("zh/weights_company")
"""Of the features of `name_company`."""
GIVEN: Final = weights_of("zh/weights_given")
"""By how much (a natural logarithm) a character stands oftener in given names than in medical text; "?": one of no list."""
PEOPLES: Final = weights_of("zh/weights_peoples")
"""The same for characters that names of peoples without a surname are written with."""
