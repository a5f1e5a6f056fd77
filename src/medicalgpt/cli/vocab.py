"""`medicalgpt vocab`: train a vocabulary, extend a tokenizer by one, and see what that saves."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.data_options import Encoding, Txt, reading_of
from medicalgpt.cli.say import say

if TYPE_CHECKING:
    from medicalgpt.data.rows import Reading
    from medicalgpt.vocabulary.extend import Extension

app = typer.Typer(no_args_is_help=True, help="Train a vocabulary, extend a tokenizer, see what it saves.")

# More text changes the order of rare tokens only, and takes memory.
_MOST = 20_000_000

Texts = Annotated[
    list[str], typer.Option("--corpus", metavar="FILES", help="Files or folders of any shape; repeatable.")
]
Output = Annotated[Path, typer.Option("--output", metavar="DIR", help="The folder to write.")]


@app.command("train")
def train(
    corpus: Texts,
    output: Output,
    size: Annotated[int, typer.Option(min=2, help="How many tokens.")] = 8000,
    kind: Annotated[
        Literal["unigram", "bpe", "bytes"],
        typer.Option(help="SentencePiece unigram or BPE, or byte-level BPE."),
    ] = "unigram",
    encoding: Encoding = "auto",
    txt: Txt = "file",
) -> None:
    """Learn a vocabulary from domain text; `vocab extend --pieces` takes its file."""
    from medicalgpt.vocabulary.train import train as learn

    path = learn(_bounded(_texts(corpus, reading_of(encoding, txt))), output, size, kind)
    say(f"{size} tokens → {path}")


@app.command("extend")
def extend(
    model: option.Model,
    output: Output,
    corpus: Annotated[
        list[str] | None, typer.Option("--corpus", metavar="FILES", help="Count new tokens in these; repeatable.")
    ] = None,
    pieces: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Take tokens from a .txt or .vocab (one a line), .model or tokenizer.json instead."
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="At most so many new tokens.")] = 4000,
    min_count: Annotated[int, typer.Option(min=2, help="A new token occurs at least so often in the corpus.")] = 5,
    max_characters: Annotated[int, typer.Option(min=2, help="Longest new token.")] = 6,
    ascii_: Annotated[
        bool,
        typer.Option("--ascii/--no-ascii", help="Also tokens with ASCII letters; without, English keeps its tokens."),
    ] = False,
    pad_to: Annotated[int, typer.Option(min=1, help="Round the embedding's rows up to a multiple of this.")] = 1,
    encoding: Encoding = "auto",
    txt: Txt = "file",
    revision: option.Revision = None,
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """Add tokens to a model's tokenizer; every old token keeps its id. Train with model.tokenizer=DIR."""
    from medicalgpt.errors import ModelError
    from medicalgpt.models.locate import locate
    from medicalgpt.vocabulary.extend import extend as grow
    from medicalgpt.vocabulary.learn import Wanted
    from medicalgpt.vocabulary.pieces import read_pieces

    if not corpus and pieces is None:
        raise ModelError("give --corpus FILES to count new tokens in, or --pieces FILE with a list of them")
    wanted, reading = Wanted(size, min_count, max_characters, ascii_), reading_of(encoding, txt)
    listed = None if pieces is None else read_pieces(pieces, wanted, say, reading.encoding)
    found = locate(model, revision, trust_remote_code)
    text = _bounded(_texts(corpus, reading)) if corpus else ()
    _print(grow(found, output, wanted, text, listed, pad_to, trust_remote_code))


@app.command("report")
def report(
    model: option.Model,
    tokenizer: Annotated[Path, typer.Option(metavar="DIR", help="The extended tokenizer.")],
    text: Annotated[list[str], typer.Option(metavar="FILES", help="Files or folders of any shape; repeatable.")],
    encoding: Encoding = "auto",
    txt: Txt = "file",
    revision: option.Revision = None,
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """Tokens per character before and after, by language, with unknown tokens and a round trip of every text."""
    from medicalgpt.models.load import load_tokenizer
    from medicalgpt.models.locate import locate
    from medicalgpt.vocabulary.report import compare, lines

    read = _texts(text, reading_of(encoding, txt))
    found = locate(model, revision, trust_remote_code)
    old = load_tokenizer(found.folder, trust_remote_code)
    new = load_tokenizer(str(tokenizer), trust_remote_code)
    say(f"{len(old)} → {len(new)} tokens")
    say("\n".join(lines(compare(old, new, read))))


def _texts(paths: Sequence[str], reading: "Reading") -> Iterator[str]:
    """Every text behind files and folders; what is not read of them is said."""
    from medicalgpt.data.texts import texts

    return texts(paths, reading, partial(say, err=True))


def _bounded(texts: Iterable[str]) -> Iterator[str]:
    """The first 20 million characters, said when there are more."""
    read = 0
    for text in texts:
        if read >= _MOST:
            say(f"the first {read:,} characters were counted; more would change rare tokens only", err=True)
            return
        read += len(text)
        yield text


def _print(found: "Extension") -> None:
    rows = f", {found.rows} embedding rows" if found.rows != found.new_size else ""
    say(f"{found.old_size} → {found.new_size} tokens ({found.added} new{rows}) → {found.folder}")
    if found.examples and sys.stdout.isatty():  # words of the corpus have no place in a log
        say(f"the longest: {' '.join(found.examples)}")
    if found.steps:
        say(f"{found.steps} of them are parts of characters on the way to one")
    if found.unreached:
        say(f"warning: {found.unreached} new tokens are not what their own text is encoded to")
    if found.left_out:
        say(f"{found.left_out} pieces were left out: --size was reached, or an old token has their text")
    if found.ascii_words:
        share = found.changed_ascii / found.ascii_words
        say(f"words in ASCII letters encoded differently: {found.changed_ascii} of {found.ascii_words} ({share:.1%})")
