"""Tokens to text: whole characters only, stop texts held back and cut."""

import subprocess
import sys
from collections.abc import Sequence

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.generate.stream import TextStream


def letters(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def pieces_of(text: str, *stop: str) -> tuple[list[str], bool]:
    """Feed one character a token until the stream says stop."""
    stream = TextStream(letters, stop)
    out = []
    for char in text:
        out.append(stream.push(ord(char)))
        if stream.stopped:
            break
    return [*out, stream.finish()], stream.stopped


def test_text_without_stop_passes_at_once() -> None:
    assert pieces_of("abc") == (["a", "b", "c", ""], False)


def test_the_beginning_of_a_stop_text_is_held_back() -> None:
    assert pieces_of("xENDy", "END") == (["x", "", "", "", ""], True)
    assert pieces_of("xENy", "END") == (["x", "", "", "ENy", ""], False)
    assert pieces_of("xEN", "END") == (["x", "", "", "EN"], False)


def test_a_begun_stop_text_may_begin_again() -> None:
    assert pieces_of("aab", "ab") == (["", "a", "", ""], True)


def test_the_first_of_several_stop_texts_counts() -> None:
    pieces, stopped = pieces_of("one two", "two", "e t")
    assert "".join(pieces) == "on"
    assert stopped


@pytest.mark.parametrize("text", ["發燒怎麼辦？多喝水 🌡️ ok", "naïve café", "  two  spaces\n\nand lines\n"])
def test_no_half_characters(text: str) -> None:
    tokenizer = tiny_tokenizer()
    stream = TextStream(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    pieces = [stream.push(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + stream.finish() == text


def test_bytes_of_a_character_that_is_never_completed_are_left_out() -> None:
    tokenizer = tiny_tokenizer()
    stream = TextStream(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    ids = tokenizer("ok🌡", add_special_tokens=False)["input_ids"]
    assert len(ids) >= 4
    pieces = [stream.push(token) for token in ids[:-1]]
    assert "".join(pieces) + stream.finish() == "ok"


def test_special_tokens_are_no_text() -> None:
    tokenizer = tiny_tokenizer()
    stream = TextStream(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    ids = tokenizer("a", add_special_tokens=False)["input_ids"]
    assert [stream.push(token) for token in [*ids, start, *ids]] == ["a", "", "a"]


LEFT_ALONE = """
import sys, threading, time
from medicalgpt.generate.sampling import Sampling
from medicalgpt.generate.stream import StreamThread

class Slow:
    def run(self, prompts, sampling, seeds, ends):
        for token in range(600):
            time.sleep(0.05)
            if ends(0, token):
                print("stopped", flush=True)
                return [[[token]]]
        print("to the end", flush=True)
        return [[[token]]]

def interrupted(thread, timeout=None):
    raise KeyboardInterrupt

job = StreamThread(Slow(), [1], Sampling(), 0)
tokens = job.tokens()
assert next(tokens) == 0
if sys.argv[1] == "interrupted":
    join, threading.Thread.join = threading.Thread.join, interrupted
    try:
        job.stop()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    threading.Thread.join = join
"""


@pytest.mark.parametrize(("how", "said"), [("left", ["stopped"]), ("interrupted", ["interrupted", "stopped"])])
def test_a_program_ends_after_the_answer_that_it_was_at(how: str, said: list[str]) -> None:
    """A thread left inside torch ended the process with a signal."""
    done = subprocess.run([sys.executable, "-c", LEFT_ALONE, how], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split("\n")[:-1]) == (0, said), done.stderr
