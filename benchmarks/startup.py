"""From the start of a process to the first token of its first answer: the chat's command against transformers alone.

usage: startup.py [--model smollm2-135m] [--rounds 5]
Both sides load the model in float32 and answer one question greedily, in turns; the median of the rounds counts. The first
round, which reads the files from the disk, is left out.
"""

import argparse
import statistics
import subprocess
import sys
import time

from medicalgpt.models.locate import locate
from medicalgpt.serve.disclaimer import disclaimers

QUESTION = "What is a fever?"
OPENING = f"{disclaimers()}\n/help lists the commands\n\n".encode()
THEIRS = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, question = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
turns = [{"role": "user", "content": question}]
ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
out = model.generate(**ids, max_new_tokens=1, do_sample=False)
print(tokenizer.decode(out[0, -1]), flush=True)
"""


def seconds(*command: str) -> float:
    """Until the first byte of the answer, behind what the chat opens with; the process is left to end by itself."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(QUESTION.encode() + b"\n")
        process.stdin.close()
        first = process.stdout.read(1)
        while OPENING.startswith(first) and first != OPENING:
            first += process.stdout.read(1)
        first = process.stdout.read(1) if first == OPENING else first
        taken = time.perf_counter() - start
        process.stdout.read()
    assert first
    assert process.returncode == 0
    return taken


def main() -> None:
    """Time both in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    folder = locate(words.model).folder
    chat = ["-m", "medicalgpt", "chat", "--model", words.model, "--dtype", "float32", "--temperature", "0"]
    sides = {
        "medicalgpt chat": [*chat, "--max-new-tokens", "1"],
        "transformers": ["-c", THEIRS, folder, QUESTION],
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(words.rounds + 1):
        for name, arguments in sides.items():
            found[name].append(seconds(sys.executable, *arguments))
    print("| from start to first token | seconds, median | slowest |\n|---|---:|---:|")
    for name, taken in found.items():
        print(f"| {name} | {statistics.median(taken[1:]):.2f} | {max(taken[1:]):.2f} |")


if __name__ == "__main__":
    main()
