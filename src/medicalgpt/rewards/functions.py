"""Scores of one's own: a Python function named by its path, or an HTTP service."""

import http.client
import importlib
import importlib.util
import ipaddress
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medicalgpt.config.rl import RewardFunction
from medicalgpt.errors import ConfigError, RunError

Turns = list[dict[str, Any]]
Scorer = Callable[[list[Turns], list[str]], Sequence[float]]
"""Gets the prompts (each a list of {role, content}) and one completion for each; returns one number for each."""


def open_function(config: RewardFunction, allow_remote: bool) -> Scorer:
    """The scorer behind a path, with its time limit around it.

    Raises:
        ConfigError: nothing is there, it is no function, or the service is on another machine and that is not allowed.
    """
    if config.path.startswith(("http://", "https://")):
        _check_host(config.path, allow_remote)
        return lambda prompts, completions: _post(config, prompts, completions)
    function = _imported(config.path)
    return lambda prompts, completions: _in_time(config, function, prompts, completions)


def _check_host(url: str, allow_remote: bool) -> None:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        raise ConfigError(f"reward.functions: {url!r} is no address; write http://host:port/path") from None
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not allow_remote:
        raise ConfigError(
            f"reward.functions: {url} is on another machine, and prompts and answers would be sent there; set "
            "reward.allow_remote=true if they may leave this one"
        )


def _imported(path: str) -> Callable[..., Any]:
    place, _, name = path.rpartition(":")
    if not place or not name:
        raise ConfigError(f"reward.functions: {path!r} is no path; write package.module:function or file.py:function")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # whatever the user's own code raises while it is imported
        raise ConfigError(f"reward.functions: {place} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = ", ".join(n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_"))
        raise ConfigError(f"reward.functions: {place} has no function {name!r}; it has {names or 'none'}")
    return function  # type: ignore[no-any-return]


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    spec = importlib.util.spec_from_file_location(f"reward_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _in_time(config: RewardFunction, function: Callable[..., Any], prompts: list[Turns], completions: list[str]) -> Any:
    """Call it in a thread of its own, so that a hanging function stops the run with a message instead of hanging it."""
    box: list[Any] = []

    def work() -> None:
        try:
            found = function(prompts, completions)
            # A generator runs the user's code only when it is read: that belongs under the time limit as well.
            box.append(list(found) if isinstance(found, Iterator) else found)
        except BaseException as error:  # handed to the caller below
            box.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(config.timeout)
    if not box:
        raise RunError(_late(config, len(completions)))
    if isinstance(box[0], BaseException):
        raise RunError(f"reward {config.path} raised {type(box[0]).__name__}") from box[0]
    return box[0]


def _late(config: RewardFunction, answers: int) -> str:
    return (
        f"reward {config.path} took longer than {config.timeout:g} s for {answers} answers; raise its timeout, or make "
        "it faster. The last checkpoint is intact"
    )


def _post(config: RewardFunction, prompts: list[Turns], completions: list[str]) -> Any:
    body = json.dumps({"prompts": prompts, "completions": completions}).encode()
    request = urllib.request.Request(config.path, body, {"Content-Type": "application/json"})
    # A proxy of the environment would see the texts; a reward service is asked directly.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=config.timeout) as answer:
            found = json.loads(answer.read())
    except TimeoutError:
        raise RunError(_late(config, len(completions))) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise RunError(_late(config, len(completions))) from None
        raise RunError(
            f"reward {config.path} cannot be reached: {error.reason}. The last checkpoint is intact"
        ) from None
    except (OSError, http.client.HTTPException) as error:  # the service hung up in the middle
        raise RunError(
            f"reward {config.path} broke off its answer ({type(error).__name__}). The last checkpoint is intact"
        ) from None
    except ValueError:
        raise RunError(f'reward {config.path} did not answer with JSON; expected {{"scores": [number, …]}}') from None
    if not isinstance(found, dict) or "scores" not in found:
        raise RunError(f'reward {config.path}: expected {{"scores": [number, …]}}, got another JSON value')
    return found["scores"]
