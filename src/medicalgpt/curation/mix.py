"""How much of each source a corpus has: shares, temperature, and a bound on repetitions (arXiv 2305.16264)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medicalgpt.config.curation import MixConfig, SourceConfig
from medicalgpt.errors import DataError
from medicalgpt.rendering.mix import draw

_ROOM = 1e-6


@dataclass(frozen=True)
class Taken:
    """What a source gives: its size before, the share asked for and had, how often its text comes, and rows."""

    size: int
    rows: int
    wanted: float
    share: float
    epochs: float
    distinct: int
    capped: bool

    def as_dict(self) -> dict[str, object]:
        """For the report."""
        return {
            "size": self.size,
            "rows": self.rows,
            "share_asked": round(self.wanted, 6),
            "share": round(self.share, 6),
            "epochs": round(self.epochs, 4),
            "rows_taken": self.distinct,
            "capped": self.capped,
        }


def weights(sizes: Mapping[str, int], sources: Mapping[str, SourceConfig], config: MixConfig) -> dict[str, float]:
    """The share of each source; together 1.

    Raises:
        DataError: a source with a share has no row left, or no other one has.
    """
    shares = {name: sources[name].share for name in sizes}
    for name, share in shares.items():
        if share is not None and not sizes[name]:
            raise DataError(
                f"sources.{name}: no row of it is left, so that it cannot have a share of {share:g}; the report of a run "
                "without shares says where its rows went"
            )
    given = sum(share for share in shares.values() if share is not None)
    tempered = {name: sizes[name] ** (1 / config.temperature) for name, share in shares.items() if share is None}
    total = sum(tempered.values())
    if tempered and given and not total:
        raise DataError("the sources without a share have no row left, so that nothing can be mixed")
    return {
        name: share if share is not None else (1 - given) * tempered[name] / total if total else 0.0
        for name, share in shares.items()
    }


def amount(
    sizes: Mapping[str, int], shares: Mapping[str, float], sources: Mapping[str, SourceConfig], config: MixConfig
) -> tuple[float, str | None]:
    """How much text the corpus has, and the source whose `max_epochs` bounds it.

    Sources without a share are taken whole, once; where every one has a share, or the temperature decides, there is as much
    text as there was. No source comes more than `max_epochs` times: then there is less, in the same shares.
    """
    whole = [name for name in sizes if sources[name].share is None and sizes[name]]
    if whole and config.temperature == 1:
        total = sum(sizes[name] for name in whole) / sum(shares[name] for name in whole)
    else:
        total = float(sum(sizes.values()))
    bounds = {name: config.max_epochs * sizes[name] / share for name, share in shares.items() if share > 0}
    tightest = min(bounds, key=lambda name: bounds[name], default=None)
    if tightest is not None and bounds[tightest] < total - _ROOM:
        return bounds[tightest], tightest
    return total, None


def mixed(
    sizes: np.ndarray, source_of: np.ndarray, sources: Mapping[str, SourceConfig], config: MixConfig
) -> tuple[np.ndarray, dict[str, Taken]]:
    """Places of the rows that the corpus has, in order and with repetitions, and what each source gives.

    Args:
        sizes, source_of: of each row, and the number of its source.

    Raises:
        DataError: as `weights`.
    """
    names = list(sources)
    there = {name: int(sizes[source_of == number].sum()) for number, name in enumerate(names)}
    shares = weights(there, sources, config)
    total, tightest = amount(there, shares, sources, config)
    chosen: list[np.ndarray] = []
    for number, name in enumerate(names):
        own = np.flatnonzero(source_of == number)
        wanted = shares[name] * total
        if abs(wanted - there[name]) < _ROOM * max(1, there[name]):
            chosen.append(own)
        else:
            chosen.append(own[draw(sizes[own], wanted - _ROOM, (config.seed, 17, number))])
    taken = _taken(chosen, sizes, names, there, shares, source_of, tightest)
    return np.sort(np.concatenate(chosen)), taken


def _taken(
    chosen: Sequence[np.ndarray],
    sizes: np.ndarray,
    names: Sequence[str],
    there: Mapping[str, int],
    shares: Mapping[str, float],
    source_of: np.ndarray,
    tightest: str | None,
) -> dict[str, Taken]:
    got = [int(sizes[rows].sum()) for rows in chosen]
    total = max(1, sum(got))
    return {
        name: Taken(
            size=there[name],
            rows=int((source_of == number).sum()),
            wanted=shares[name],
            share=got[number] / total,
            epochs=got[number] / there[name] if there[name] else 0.0,
            distinct=len(np.unique(chosen[number])),
            capped=name == tightest,
        )
        for number, name in enumerate(names)
    }
