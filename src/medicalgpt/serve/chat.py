"""The terminal chat: a loop around an engine's stream. It keeps the conversation and knows nothing about models."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from medicalgpt.config.lookup import did_you_mean
from medicalgpt.data.records import Message
from medicalgpt.errors import MedicalGPTError
from medicalgpt.serve.disclaimer import DISCLAIMER

if TYPE_CHECKING:  # importing the engine takes seconds, and this file needs only its interface
    from medicalgpt.generate.engine import Completion, Engine
    from medicalgpt.generate.sampling import Sampling

HELP = """\
/clear          forget the conversation
/system         show the system message
/system TEXT    set the system message and start over
/help           show this list
/exit           leave (Ctrl-D too); Ctrl-C stops an answer"""
COMMANDS = ("/clear", "/system", "/help", "/exit")

# A model must not be able to send commands to the terminal; tab and newline are text.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class Chat:
    """One conversation.

    Args:
        read: gives the next line that was typed; raises EOFError at the end.
        console: where everything is printed.
        history: False asks each question alone, as if it were the first.
    """

    def __init__(
        self,
        engine: "Engine",
        sampling: "Sampling",
        read: Callable[[], str],
        console: Console,
        system: str | None = None,
        history: bool = True,
    ) -> None:
        self.engine = engine
        self.sampling = sampling
        self.read = read
        self.console = console
        self.system = system
        self.history = history
        self.turns: list[Message] = []
        self.asked = 0

    def run(self) -> None:
        """Talk until /exit or the end of the input."""
        self._print(DISCLAIMER, style="yellow")
        self._print("/help lists the commands\n", style="dim")
        while True:
            try:
                line = self.read().strip()
            except EOFError:
                return
            except KeyboardInterrupt:
                self._print("\nleave with Ctrl-D or /exit", style="dim")
                continue
            if line == "/exit":
                return
            if line.startswith("/"):
                self._command(line)
            elif line:
                self._answer(line)

    def _command(self, line: str) -> None:
        name, _, text = line.partition(" ")
        text = text.strip()
        if name == "/clear":
            self.turns = []
            self._notice("the conversation is forgotten")
        elif name == "/system" and text:
            self.system, self.turns = text, []
            self._notice("the system message is set; the conversation starts over")
        elif name == "/system":
            self._notice(f"system message: {self.system}" if self.system else "there is no system message")
        elif name == "/help":
            self._notice(HELP)
        else:
            self._notice(f"{name[:20]} is no command{did_you_mean(name, COMMANDS)}\n{HELP}")

    def _answer(self, question: str) -> None:
        """Ask, show the answer as it comes, and remember both, so that the model remembers what the user saw."""
        head = [Message("system", self.system)] if self.system else []
        turns = [*self.turns, Message("user", question)]
        try:
            ready = self.engine.prepare([*head, *turns], self.sampling)
            # What no longer fits is forgotten for good, so that it is said once and not before every answer.
            turns = turns[ready.dropped_turns :]
            if ready.dropped_turns:
                self._notice(
                    f"the oldest {ready.dropped_turns} turns no longer fit into the model's context; forgotten"
                )
            text, completion = self._show([*head, *turns])
        except MedicalGPTError as error:
            self._print(f"error: {error}\n", style="red")
            return
        if completion is None:
            self._notice("stopped")
        elif not completion.stopped:
            self._notice(f"cut off after {len(completion.token_ids)} tokens (--max-new-tokens)")
        # A silent answer to a cancelled question would only confuse the model in the next turn.
        if self.history and (text or completion is not None):
            self.turns = [*turns, Message("assistant", text)]

    def _show(self, prompt: list[Message]) -> tuple[str, "Completion | None"]:
        """Print the pieces of an answer; gives its text, and None for the completion when Ctrl-C stopped it."""
        self.asked += 1
        pieces: list[str] = []
        stream = self.engine.stream(prompt, self.sampling, index=self.asked)
        try:
            while True:
                piece = next(stream)
                pieces.append(piece)
                self.console.print(Text(piece.translate(_CONTROLS)), end="", soft_wrap=True)
        except StopIteration as end:
            completion: Completion | None = end.value
        except KeyboardInterrupt:
            completion = None
        finally:
            stream.close()
            self.console.print()
        return "".join(pieces), completion

    def _notice(self, text: str) -> None:
        self._print(f"({text})" if "\n" not in text else text, style="dim")

    def _print(self, text: str, style: str) -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)
