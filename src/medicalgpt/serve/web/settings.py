"""How answers are drawn, as set on the page."""

import secrets
from dataclasses import asdict, dataclass

from medicalgpt.generate.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Settings:
    """As `Sampling`, with a system message; without a seed every answer has a new one."""

    system: str = ""
    max_new_tokens: int = 512
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    def sampling(self, number: int) -> Sampling:
        """For answer `number` (from 0) to a question: the seed goes up by one, so that asking again means something new.

        Raises:
            ServeError: a value outside its range.
        """
        values = asdict(self)
        del values["system"]
        seed = secrets.randbelow(2**31) if self.seed is None else self.seed + number
        return Sampling(**{**values, "seed": seed})


def read_seed(text: str | None) -> int | None:
    """The seed that was typed; nothing is None. Raises ValueError for anything but a whole number from 0 on."""
    typed = (text or "").strip()
    if not typed:
        return None
    if not (typed.isascii() and typed.isdigit() and len(typed) <= 18):
        raise ValueError("no seed")
    return int(typed)
