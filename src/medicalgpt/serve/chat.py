"""The terminal chat: a loop around an engine's stream. It keeps the conversation and knows nothing about models."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.text import Text

from medicalgpt.config.emergency import Emergency
from medicalgpt.config.near_names import did_you_mean
from medicalgpt.data.records import Message
from medicalgpt.errors import MedicalGPTError
from medicalgpt.language import translated
from medicalgpt.rendering.thinking import ThinkingStream
from medicalgpt.serve.disclaimer import disclaimers

if TYPE_CHECKING:  # importing the engine takes seconds, and this file needs only its interface
    from medicalgpt.generate.engine import Completion, Engine
    from medicalgpt.generate.prompts import EncodedPrompt
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
        thinking: show a model's thoughts before its answer, or only say that it thinks.
        emergency: whose number the disclaimer names; None names those of several regions.
    """

    def __init__(
        self,
        engine: "Engine",
        sampling: "Sampling",
        read: Callable[[], str],
        console: Console,
        system: str | None = None,
        history: bool = True,
        thinking: Literal["show", "hide"] = "show",
        emergency: Emergency | None = None,
    ) -> None:
        self.emergency = emergency
        self.engine = engine
        self.sampling = sampling
        self.read = read
        self.console = console
        self.system = system
        self.history = history
        self.thinking = thinking
        self.turns: list[Message] = []
        self.asked = 0

    def run(self) -> None:
        """Talk until /exit or the end of the input."""
        self._print(disclaimers(self.emergency), style="yellow")
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
        """Ask, show the answer as it comes, and remember both, so that the model remembers what the user saw.

        Thoughts are remembered too, hidden or not: whether past ones are shown to the model is the template's choice, as
        it was in training.
        """
        head = [Message("system", self.system)] if self.system else []
        turns = [*self.turns, Message("user", question)]
        try:
            encoded = self.engine.prepare([*head, *turns], self.sampling)
            # What no longer fits is forgotten for good, so that it is said once and not before every answer.
            turns = turns[encoded.dropped_turns :]
            if encoded.dropped_turns:
                self._notice(
                    f"the oldest {encoded.dropped_turns} turns no longer fit into the model's context; forgotten"
                )
            text, answered, completion = self._show([*head, *turns], encoded)
        except MedicalGPTError as error:
            self._print(f"error: {error}\n", style="red")
            return
        if completion is None:
            self._notice("stopped")
        elif not completion.stopped:
            still = "" if answered else ", still thinking; the question is forgotten"
            self._notice(f"cut off after {len(completion.token_ids)} tokens (--max-new-tokens){still}")
        # A silent answer to a cancelled question would only confuse the model in the next turn, and so would half a thought.
        if self.history and answered:
            self.turns = [*turns, Message("assistant", text)]

    def _show(self, prompt: list[Message], encoded: "EncodedPrompt") -> tuple[str, bool, "Completion | None"]:
        """Print the pieces of an answer.

        Returns:
            Its text with thoughts and all, whether it answers the question, and None for the completion when Ctrl-C
            stopped it.
        """
        self.asked += 1
        pieces: list[str] = []
        split = ThinkingStream(encoded.thinking)
        stream = self.engine.stream(prompt, self.sampling, index=self.asked)
        completion: Completion | None = None
        screen = _Screen(self.console, self.thinking == "show")
        try:
            while True:
                piece = next(stream)
                pieces.append(piece)
                screen.show(*split.push(piece))
        except StopIteration as end:
            completion = end.value
        except KeyboardInterrupt:
            pass
        finally:
            stream.close()
            screen.show(*split.finish())
            self.console.print()
        answered = not split.thinking and (screen.answered or completion is not None)
        return "".join(pieces), answered, completion

    def _notice(self, text: str) -> None:
        told = translated(text)
        self._print(f"({told})" if "\n" not in told else told, style="dim")

    def _print(self, text: str, style: str) -> None:
        self.console.print(Text(translated(text), style=style), soft_wrap=True)


class _Screen:
    """One answer on the terminal: thoughts dimmed or hidden, the answer below them."""

    def __init__(self, console: Console, show_thoughts: bool) -> None:
        self.console, self.show_thoughts = console, show_thoughts
        self.thought = self.answered = False

    def show(self, reasoning: str, answer: str) -> None:
        """Print what came."""
        if reasoning:
            if not self.thought and not self.show_thoughts:
                self._print(translated("(thinking …)"), "dim")
            self.thought = True
            if self.show_thoughts:
                self._print(reasoning, "dim italic")
        if answer:
            if self.thought and not self.answered:
                self._print("\n\n", "")
            self.answered = True
            self._print(answer, "")

    def _print(self, text: str, style: str) -> None:
        self.console.print(Text(text.translate(_CONTROLS), style=style), end="", soft_wrap=True)
