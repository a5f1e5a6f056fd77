"""The long-standing flags of gradio_demo.py, and what each one means here: `medicalgpt demo` in other words."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import typer

from medicalgpt.cli.demo import open_page
from medicalgpt.cli.legacy import (
    Parser,
    add_emergency_flag,
    add_model_flags,
    add_sampling_flags,
    choose_devices,
    model_options,
    parse,
)
from medicalgpt.cli.report_errors import report_errors


def gradio_demo(words: Sequence[str] | None = None) -> None:
    """`python gradio_demo.py`: serve the web page; wrong input ends with one clear message and exit code 2."""
    given = parse(_parser(), words)
    choose_devices(given.gpus, given.only_cpu)
    settings = {
        "system": given.system_prompt or "",
        "max_new_tokens": given.max_new_tokens,
        "temperature": given.temperature,
        "repetition_penalty": given.repetition_penalty,
        "stop": (given.stop_str,) if given.stop_str else (),
    }
    place = {"host": given.host, "port": given.port, "share": given.share, "context": given.context_len}
    place |= {"emergency": given.emergency}
    try:
        with report_errors():
            open_page(given.base_model, replace(model_options(given), device_map=None), settings, place)
    except typer.Exit as ended:  # typer would turn it into an exit code by itself
        sys.exit(ended.exit_code)


def _parser() -> Parser:
    parser = Parser("gradio_demo.py", description="Talk to a model in the browser.", allow_abbrev=False)
    add_model_flags(parser)
    add_sampling_flags(parser)
    add_emergency_flag(parser)
    one = parser.add_argument_group("page")
    one.add_argument("--context_len", type=int, help="most tokens of conversation and answer; default: the model's")
    one.add_argument("--share", action="store_true", help="make it public through gradio.live; not for patient data")
    one.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets others in; default: %(default)s"
    )
    one.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    return parser
