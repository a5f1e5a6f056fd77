"""Writes two lists of phi/lists/zh: everyday_words.txt, Chinese words of two to four characters that are no names, the most frequent first, and
simplified.txt, traditional characters and their simplified forms.

usage: phi_words.py
The words are those of jieba's dictionary (0.42.1, MIT), without what it tags as names of people, places and institutions; the characters are those
of OpenCC (Apache-2.0).
"""

from pathlib import Path
from typing import Final

import jieba
from opencc import OpenCC

LISTS: Final = Path(__file__).resolve().parents[1] / "src/medicalgpt/phi/lists/zh"
LEAST: Final = 10
"""How often a word stands in the text that the dictionary was counted on."""
NAMES: Final = ("nr", "ns", "nt")
"""Tags of people, places and institutions."""
HEAD: Final = """\
# Everyday words, the most frequent first: what a run of characters may be that is no name. From the dictionary of jieba 0.42.1, without its names,
# by benchmarks/phi_words.py. Copyright (c) 2013 Sun Junyi, under the MIT license:
# Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to
# deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or
# sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions: The above
# copyright notice and this permission notice shall be included in all copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS",
# WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
# NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
# CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
PAIRS: Final = """\
# Traditional characters, each with its simplified form behind it; from OpenCC's tables (Apache-2.0), by benchmarks/phi_words.py.
"""
WIDTH: Final = 40
"""Words a line."""


def main() -> None:
    """Writes the lists."""
    with (Path(jieba.__file__).with_name("dict.txt")).open(encoding="utf-8") as lines:
        rows = [line.split() for line in lines]
    found = [
        (int(count), word)
        for word, count, tag in rows
        if 2 <= len(word) <= 4 and int(count) >= LEAST and not tag.startswith(NAMES) and _chinese(word)
    ]
    _write("everyday_words", HEAD, [word for _, word in sorted(found, key=lambda one: (-one[0], one[1]))])
    convert = OpenCC("t2s").convert
    pairs = ((char, convert(char)) for char in map(chr, range(0x3400, 0xA000)))
    _write("simplified", PAIRS, [char + plain for char, plain in pairs if plain != char and len(plain) == 1])


def _write(name: str, head: str, words: list[str]) -> None:
    body = "\n".join(" ".join(words[at : at + WIDTH]) for at in range(0, len(words), WIDTH))
    (LISTS / f"{name}.txt").write_text(f"{head}{body}\n", encoding="utf-8")


def _chinese(word: str) -> bool:
    return all("\u4e00" <= char <= "\u9fff" for char in word)


if __name__ == "__main__":
    main()
