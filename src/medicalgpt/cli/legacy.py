"""The long-standing flags of inference.py and inference_multigpu_demo.py, and what each one means here.

Both scripts do what `medicalgpt chat` and `medicalgpt generate` do; only the words differ.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from medicalgpt.cli.chat import new_seed, talk
from medicalgpt.cli.generate import FileJob, answer_file
from medicalgpt.cli.report_errors import print_error, report_errors
from medicalgpt.config.emergency import chosen
from medicalgpt.config.near_names import did_you_mean
from medicalgpt.errors import ServeError
from medicalgpt.generate.model_options import ModelOptions

if TYPE_CHECKING:
    from medicalgpt.generate.sampling import Sampling

SEED = 42
OLD_KEYS = {"question": "Input", "response": "Output", "problem": "problem"}
QUESTIONS = Path(__file__).parent / "legacy_questions.txt"
"""What is asked where no file is given, one question a line."""


class Parser(argparse.ArgumentParser):
    """Prints errors as every command of ours does."""

    def error(self, message: str) -> NoReturn:
        """One line and exit code 2."""
        print_error(message)
        sys.exit(2)


def parse(parser: Parser, words: Sequence[str] | None) -> argparse.Namespace:
    """The flags as given. An unknown one ends the program, with the one that was probably meant."""
    given, unknown = parser.parse_known_args(words)
    if unknown:
        flag = unknown[0].split("=")[0]
        flags = [known for action in parser._actions for known in action.option_strings if known.startswith("--")]
        parser.error(f"{flag} is no flag of {parser.prog}{did_you_mean(flag, flags)}; --help lists them")
    # Not argparse's `required`, which would name this one where another is misspelled.
    if given.base_model is None:
        parser.error("--base_model is missing; give a model folder, a run folder, an embedded model's name or a Hub id")
    return given


def inference(words: Sequence[str] | None = None) -> None:
    """`python inference.py`: talk to a model, or answer questions, in one process."""
    given = parse(inference_parser(), words)
    _run(given, given.interactive)


def inference_multigpu(words: Sequence[str] | None = None) -> None:
    """`torchrun --nproc_per_node N inference_multigpu_demo.py`: answer questions in several processes."""
    _run(parse(multigpu_parser(), words), False)


def _run(given: argparse.Namespace, interactive: bool) -> None:
    choose_devices(given.gpus, given.only_cpu)
    try:
        with report_errors():
            if interactive:
                _talk(given)
            else:
                _answer_file(given)
    except typer.Exit as ended:  # typer would turn it into an exit code by itself
        sys.exit(ended.exit_code)


def inference_parser() -> Parser:
    """The flags of inference.py."""
    parser = _parser(
        "inference.py", "Talk to a model (--interactive), or answer questions (--data_file).", "eval_batch_size"
    )
    parser.add_argument("--interactive", action="store_true", help="talk in the terminal")
    add_emergency_flag(parser)
    return parser


def multigpu_parser() -> Parser:
    """The flags of inference_multigpu_demo.py."""
    about = "Answer questions in several processes, each with a copy of the model (torchrun --nproc_per_node N)."
    return _parser("inference_multigpu_demo.py", about, "batch_size")


def _parser(program: str, about: str, batch_flag: str) -> Parser:
    parser = Parser(program, description=about, allow_abbrev=False)
    add_model_flags(parser)
    add_sampling_flags(parser)
    one = parser.add_argument_group("file")
    one.add_argument(
        "--data_file",
        type=Path,
        help="questions: .jsonl .json .csv .tsv .xlsx .parquet .arrow, or text with one a line; default: a few medical ones of ours",
    )
    one.add_argument("--output_file", type=Path, default=Path("predictions_result.jsonl"), help="default: %(default)s")
    one.add_argument(f"--{batch_flag}", dest="batch_size", type=_positive, default=4, help="default: %(default)s")
    one.add_argument("--single_tune", action="store_true", help="ask each question alone, without history")
    return parser


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that say which model is loaded, and how."""
    one = parser.add_argument_group("model")
    one.add_argument("--model_type", default="auto", help="family, see `medicalgpt models families`; default: auto")
    one.add_argument("--base_model", help="folder, run folder, embedded name or Hub id")
    one.add_argument("--lora_model", help="LoRA adapter; leave it out when it is merged")
    one.add_argument("--tokenizer_path", help="default: the adapter's where it has one, else the base's")
    one.add_argument("--template_name", help="default: the run's, the tokenizer's, the family's, then vicuna")
    one.add_argument("--resize_emb", action="store_true", help="as many embeddings as the tokenizer has tokens")
    one.add_argument("--load_in_8bit", action="store_true", help="weights in 8 bits (bitsandbytes)")
    one.add_argument("--load_in_4bit", action="store_true", help="weights in 4 bits (bitsandbytes, NF4)")
    one.add_argument("--gpus", help="GPUs to use, for example 0; 0,1 lays the model over both")
    one.add_argument("--only_cpu", action="store_true", help="use no GPU")
    one.add_argument("--trust_remote_code", action="store_true", help="run Python code that comes with the model")


def add_sampling_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that say how answers are drawn."""
    one = parser.add_argument_group("answers")
    one.add_argument("--system_prompt", help="system message for conversations that have none")
    one.add_argument("--temperature", type=float, default=0.7, help="0 takes the likeliest token; default: %(default)s")
    one.add_argument("--repetition_penalty", type=float, default=1.0, help="above 1: fewer repetitions; default: 1")
    one.add_argument("--max_new_tokens", type=_positive, default=512, help="longest answer; default: %(default)s")
    one.add_argument("--stop_str", help="text that ends an answer, beside the stop tokens")


def add_emergency_flag(parser: argparse.ArgumentParser) -> None:
    """The flag of scripts that show a disclaimer."""
    parser.add_argument(
        "--emergency",
        metavar="REGION",
        help="whose emergency number the disclaimer names: CN, TW, HK, US, EU … or the number itself; default: several",
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def choose_devices(gpus: str | None, only_cpu: bool) -> None:
    """Hide GPUs that may not be used; called before anything touches CUDA, which looks once only."""
    if only_cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus


def model_options(given: argparse.Namespace) -> ModelOptions:
    """How the model is loaded. Raises ServeError for flags that exclude each other."""
    if given.load_in_8bit and given.load_in_4bit:
        raise ServeError("--load_in_8bit and --load_in_4bit exclude each other; give one of them")
    return ModelOptions(
        adapter=given.lora_model or None,  # older command lines give an empty text for "none"
        template=given.template_name or None,
        family=given.model_type,
        tokenizer=given.tokenizer_path or None,
        resize_embeddings=given.resize_emb,
        quantization="int8" if given.load_in_8bit else "nf4" if given.load_in_4bit else "none",
        trust_remote_code=given.trust_remote_code,
        device_map="auto" if _several(given) else None,
        inference_only=True,
    )


def sampling(given: argparse.Namespace, seed: int) -> "Sampling":
    """How answers are drawn. Raises ServeError for a value outside its range."""
    from medicalgpt.generate.sampling import Sampling

    return Sampling(
        max_new_tokens=given.max_new_tokens,
        temperature=given.temperature,
        repetition_penalty=given.repetition_penalty,
        seed=seed,
        stop=(given.stop_str,) if given.stop_str else (),
    )


def _talk(given: argparse.Namespace) -> None:
    settings, called = sampling(given, new_seed()), chosen(given.emergency)
    from medicalgpt.generate.engine import Engine

    engine = Engine.open(given.base_model, **vars(model_options(given)))
    talk(engine, settings, given.system_prompt, history=not given.single_tune, emergency=called)


def _several(given: argparse.Namespace) -> bool:
    """Whether one process has several GPUs to itself, over which the model is laid; under torchrun each takes one."""
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    return alone and not given.only_cpu and "," in (given.gpus or "")


def _answer_file(given: argparse.Namespace) -> None:
    # These flags have no --resume: an output that was begun is gone on with, and a finished one is never written over.
    target: Path = given.output_file
    begun = not target.exists() and target.with_name(target.name + ".partial").exists()
    job = FileJob(
        given.data_file or QUESTIONS,
        target,
        given.batch_size,
        given.system_prompt,
        not given.single_tune,
        begun,
        lines=True,
    )
    if given.data_file is None:
        job = replace(job, names=OLD_KEYS, about="no --data_file is given: answering medical questions of ours")
    answer_file(given.base_model, model_options(given), job, sampling(given, SEED))
