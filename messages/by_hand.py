"""Messages that no expression of our source shows: what code joins, what other programs say within ours, names of types.

A test meets each of typer's in a real error, and those of the system in `os.strerror`.
"""

import errno
import os
import re
from typing import get_args

from medicalgpt.browse.info import Kind, State
from medicalgpt.browse.pack import WHY
from medicalgpt.cli.models import EMBEDDED_HEADS, FAMILY_HEADS, TEMPLATE_HEADS
from medicalgpt.cli.runs_show import COLUMNS
from medicalgpt.config.foreign import FOREIGN
from medicalgpt.curation.choose import LEFT_OUT as MIXED_OUT
from medicalgpt.curation.quality import RULES
from medicalgpt.evaluation.catalog import State as TestState
from medicalgpt.evaluation.catalog import known_tests
from medicalgpt.models.embedded.registry import EMBEDDED
from medicalgpt.models.families import FAMILIES
from medicalgpt.pipeline.screen import MEANINGS
from medicalgpt.rendering.remarks import NAMES
from medicalgpt.rendering.template_header import System, named_info, named_templates
from messages.of_yaml import YAML

LANGUAGE = "src/medicalgpt/language/catalogue.py"
HELP = "src/medicalgpt/cli/help_texts.py"
HEADINGS_PLACE = "src/medicalgpt/cli/data.py"
CONFIG = "src/medicalgpt/config/words.py"
YAML_TEXT = "src/medicalgpt/config/yaml_text.py"
RUNS_SHOW = "src/medicalgpt/cli/runs_show.py"

JOINED = (
    "{first} or {rest}",
    "{first} and {rest}",
    "{first} and {number} more",
    "{place}: {message}",
    "{number} × {reason}",
    *("dropped: {reason}", "truncated: {reason}"),
    "warning: {message}",
    "warning: {number} rows: {message}",
    "the column '{name}' was not read",
    "note: {message}",
    ". {sentence}",
    "override '{given}'",
    "override '{given}': {message}",  # what was given may have a colon in it
    "list of {type_words} or section with keys such as {some}",
)

FRAME = ("key", "type", "default", "meaning")
LIMITS = ("{kind} ≥ {limit}", "{kind} > {limit}", "{kind} ≤ {limit}", "{kind} < {limit}")
# Words that stand alone: `catalogue.ONE_WORD` says in which places they are translated, for elsewhere they may be names.
TYPES = ("text", "number", "path", "choice", "section")

TYPER = (
    "Arguments",
    "Options",
    "Commands",
    "Error",
    "Aborted.",
    "[required]",
    "Usage: ",
    "Show this message and exit.",
    "Install completion for the current shell.",
    "Show completion for the current shell, to copy it or customize the installation.",
    "No such option: {option}",
    "No such option: {option}{hint}",
    "No such option: {option} (Possible options: {options})",
    "No such command {name}.",
    "No such command {name}.{hint}",
    "Missing option {name}.",
    "Missing argument {name}.",
    "Missing command.",
    "Invalid value for {name}: {message}",
    "{value} is not one of {choices}.",
    "Value error, {value} is not one of {choices}.",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid number, unable to parse string as a number",
    "Input should be greater than or equal to {limit}",
    "Input should be {choices}",
    "Option {name} requires an argument.",
    "Got unexpected extra argument ({names})",
    "Got unexpected extra arguments ({names})",
    "Got unexpected extra argument(s) ({names})",
)
SETTINGS = (
    "Objective",
    "Rollout",
    "Reward",
    "{rate}, {schedule}, warm-up {warmup}",
    "{variant} adapters: rank {rank}, alpha {alpha}, dropout {dropout}",
    "{count} tokens",
    "{share} of the training data",
)
STATES = ("running", "interrupted", "finished", "already finished", "{change} points")
# What runs list, show and compare say of a run.
KINDS = (*get_args(Kind), *get_args(State))
FACTS = (
    *("stage", "device", "processes", "version of {name}"),
    *(f"sha256 of {of}" for of in ("data", "held-out data", "base", "template", "code")),
)
NOTES = (
    "goes on from step {step}",
    "the same command begins again: no checkpoint was saved",
    "whether a process still works on it cannot be told here",
    "{run_file} is damaged or missing, so nobody can tell which run this is; start it over",
    "the same command goes on where it was broken off",
    "{results} is damaged; run the evaluation again",
    "{leakage} is damaged; look again: medicalgpt evaluate leakage",
    "at {running}",
    "{failed} failed: {note}",
    "blocked by {blocked}",
    "the same command goes on with {missing}",
    "the same command goes on with the comparison of its models",
)
VERDICTS = ("better", "WORSE")
PARTS = (
    *(
        "weights",
        "gathered",
        "critic",
        "scorer",
        "reference",
        "teacher",
        "gradients",
        "optimizer",
        "activations",
        "head",
    ),
    *("answers", "communication", "heap", "total"),
)
NOT_PACKED = tuple(WHY.values())
REWARDS = ("chosen", "rejected", "margin")
UNITS = ("loss per pair", "loss per answer")
# Held-out numbers of a pipeline's table.
NUMBERS = (*MEANINGS, *MEANINGS.values())
HELD_OUT = "held-out {name} {value}"
# What is more than names.
FAMILIES_ABOUT = tuple(family.about for family in FAMILIES.values() if re.search(r" [a-z]", family.about))
MODELS = (*EMBEDDED_HEADS, *FAMILY_HEADS, *TEMPLATE_HEADS, *(model.summary for model in EMBEDDED.values()))
REWARD_REPORT = (
    *("chosen shorter", "same length", "chosen longer", "  {name}: {share} [{low}, {high}] of {rows}"),
    "held-out accuracy {share} [{low}, {high}] of {rows} pairs; margin {margin} [{low2}, {high2}]",
    "score mean {mean}, std {std}; correlation with length {correlation} (taking the longer answer: {length}); "
    "calibration error {error}",
)
GATES = tuple(
    f"{{verdict}} {{name}}: {{value}} points [{{low}}, {{high}}], may {way} {{margin}}; {{rows}} items, {{changed}} changed{more}"
    for way in ("lose", "rise")
    for more in ("", "; about {needed} items are needed", "; more items would not let it pass")
)
FILES = tuple(f"{{path}}: {{count}} {kind}" for kind in ("questions, one a line", "rows"))
TEST_STATES = get_args(TestState)
ON_HUB = tuple(dict.fromkeys(test.on_hub for test, _ in known_tests().values() if test.on_hub and " " in test.on_hub))
# A test's title is a name and what is asked of it; an origin says from where somebody took it.
TESTS = (
    *(test.title for test, _ in known_tests().values()),
    *{test.origin: 0 for test, _ in known_tests().values() if ", from " in test.origin or "://" not in test.origin},
)
SOURCES = tuple(
    dict.fromkeys(
        source
        for source in (named_info(name).source for name in named_templates())
        if re.search(r" [a-z]+[ )]", source)
    )
)
SYSTEM_PLACES = get_args(System)
QUANTIZED = ("perplexity", "megabytes", "tokens per second")
NEXT = ("talk to it", "serve it")
PANELS = ("Model", "Sampling", "Judge", "Page", "Server", "Limits")
# Types and places of a command's usage, which stand alone.
USAGE = (
    *("[OPTIONS]", "COMMAND [ARGS]...", "<bool>", "<str>", "<list[str]>", "<path>"),
    *("<int>", "<int range>", "<float>", "<float range>"),
    *("AFTER", "BEFORE", "COLUMN", "DIR", "FILE", "FILE.gguf", "FILE.jsonl", "FILES", "FOLDER", "KEY", "KEY=VALUE"),
    *("NAME", "NAME=PATH", "NAMES", "NUMBERS", "ORIGIN", "PATH", "REGION", "RUN", "RUN...", "RUN_OR_PATH"),
    *("RUN_OR_PIPELINE", "STAGE", "TEXT", "VARIABLE"),
    *("file", "folder", "overrides", "paths", "stage"),
)

_ERRORS = (
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.EIO,
    errno.EADDRINUSE,
    errno.ECONNREFUSED,
)
SYSTEM = tuple(os.strerror(number) for number in _ERRORS)

# Found by the same rules, and no message.
NOT_SHOWN = (
    *("lora_rank lora_r", "What is a fever? 38.5 °C."),
    *("\nBegins with a newline.", " Begins with a space."),  # answers that preflight tries
)

# What words of other tools mean: said as a clause, or as a sentence behind the key that is meant.
FOREIGN_NOTES = tuple(
    sorted(
        {
            told.replace("{", "{{").replace("}", "}}")
            for meant in FOREIGN.values()
            if meant.note
            for told in (meant.note, meant.sentence)
        }
    )
)
HEADINGS = ("encoding", "shape", "kind", "rows", "bad", "columns")
NOT_READ = tuple(f"{what}: {{name}} ({{count}} rows)" for what in ("not read", "not learned"))

BY_HAND = [
    *((text, "src/medicalgpt/memory/footprint.py") for text in PARTS),
    ("log-probability", "src/medicalgpt/models/trial.py"),
    ("each row on {peers} processes", "src/medicalgpt/training/sequence.py"),
    *((text, "src/medicalgpt/browse/pack.py") for text in NOT_PACKED),
    *((text, RUNS_SHOW) for text in (*COLUMNS, *VERDICTS)),
    *((text, "src/medicalgpt/browse/runs.py") for text in (*KINDS, *FACTS, *NOTES)),
    *((text, "src/medicalgpt/runs/figures.py") for text in (*REWARDS, *UNITS)),
    *((text, LANGUAGE) for text in (*JOINED, *SYSTEM)),
    *((text, "src/medicalgpt/pipeline/screen.py") for text in NUMBERS),
    *((text, "src/medicalgpt/pipeline/run.py") for text in NEXT),
    *((text, "src/medicalgpt/cli/models.py") for text in dict.fromkeys(MODELS)),
    *((text, "src/medicalgpt/models/families.py") for text in FAMILIES_ABOUT),
    *((text, "src/medicalgpt/rendering/remarks.py") for text in dict.fromkeys(NAMES.values())),
    *((text, "src/medicalgpt/runs/reward_report.py") for text in REWARD_REPORT),
    ("{name}: {done} of {count}", "src/medicalgpt/evaluation/suite.py"),
    *((text, "src/medicalgpt/evaluation/catalog.py") for text in (*TEST_STATES, *ON_HUB, *TESTS)),
    *((text, "src/medicalgpt/rendering/template_header.py") for text in (*SYSTEM_PLACES, *SOURCES)),
    *((text, "src/medicalgpt/cli/quantize.py") for text in QUANTIZED),
    *((text, "src/medicalgpt/curation/quality.py") for text in [f"quality: {rule}" for rule, _ in RULES]),
    *(
        (text, "src/medicalgpt/migrate/carry.py")
        for text in ("default of {tool}", "{tool} sets nothing for it; fill this in")
    ),
    ("compared with the model: {summary}", "src/medicalgpt/export/gguf.py"),
    ("held out of {file}, in characters of {of}", "src/medicalgpt/runs/report.py"),
    ("all were held out", "src/medicalgpt/rendering/build.py"),
    (MIXED_OUT, "src/medicalgpt/curation/choose.py"),
    ("{step}: {todo} of {count} tasks to do", "src/medicalgpt/curation/local.py"),
    *((text, "src/medicalgpt/generate/questions.py") for text in FILES),
    *((text, "src/medicalgpt/evaluation/gates.py") for text in GATES),
    ("deleted: {path} ({size})", "src/medicalgpt/cli/runs.py"),
    (HELD_OUT, "src/medicalgpt/training/rl/loop.py"),
    *((text, "src/medicalgpt/runs/report.py") for text in (*SETTINGS, *STATES)),
    *((text, HELP) for text in (*TYPER, *PANELS, *USAGE)),
    *((text, HEADINGS_PLACE) for text in (*HEADINGS, *NOT_READ)),
    *((text, YAML_TEXT) for text in YAML),
    *((text, CONFIG) for text in (*FRAME, *LIMITS, *TYPES, *FOREIGN_NOTES)),
]
