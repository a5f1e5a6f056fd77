"""The API under load: clients at the same time against one at a time, through a real server and OpenAI's client.

usage: serving.py [--model smollm2-135m] [--clients 16] [--requests 32] [--tokens 64] [--write FILE]
Both sides ask the same questions with the same seeds of the same running server, after it is warm; answers are at most so many
tokens long. Start-up to first token counts from the start of the server's process to the first piece of its first answer.
"""

import argparse
import asyncio
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import openai

TOPICS = [
    "a fever",
    "high blood pressure",
    "a cough",
    "type 2 diabetes",
    "asthma",
    "a migraine",
    "back pain",
    "measles",
]
QUESTIONS = ["What is {}?", "How is {} treated?", "When should I see a doctor about {}?", "How can I prevent {}?"]


@contextmanager
def server(model: str, slots: int) -> Iterator[tuple[str, float]]:
    """The command on a free port; gives its address and the time of its start."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["serve", "--model", model, "--port", str(port), "--slots", str(slots), "--dtype", "float32"]
    start = time.perf_counter()
    command = [sys.executable, "-m", "medicalgpt", *words, "--served-name", "model"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_open(port, process)
            yield f"http://127.0.0.1:{port}/v1", start
        finally:
            process.terminate()


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"the server ended with {process.returncode}")


async def answer(client: openai.AsyncOpenAI, number: int, tokens: int) -> tuple[int, float]:
    """One streamed answer: its tokens, and the seconds until its first piece."""
    template = QUESTIONS[number // len(TOPICS) % len(QUESTIONS)]
    question = template.format(TOPICS[number % len(TOPICS)])
    start, first, made = time.perf_counter(), None, 0
    stream = await client.chat.completions.create(
        model="model",
        messages=[{"role": "user", "content": question}],
        max_tokens=tokens,
        seed=number,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        if first is None and chunk.choices and chunk.choices[0].delta.content:
            first = time.perf_counter() - start
        if chunk.usage:
            made = chunk.usage.completion_tokens
    return made, first if first is not None else time.perf_counter() - start


async def load(url: str, clients: int, requests: int, tokens: int) -> tuple[int, float, list[float]]:
    """Requests by so many clients: tokens made, seconds in all, seconds to each first piece."""
    numbers = iter(range(requests))
    found: list[tuple[int, float]] = []

    async def one() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600) as client:
            for number in numbers:
                found.append(await answer(client, number, tokens))

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return sum(made for made, _ in found), time.perf_counter() - start, [first for _, first in found]


def row(name: str, result: tuple[int, float, list[float]]) -> tuple[float, str]:
    """Tokens a second, and a row of the table."""
    made, seconds, firsts = result
    cuts = statistics.quantiles(firsts, n=20, method="inclusive")
    rate = made / seconds
    return rate, f"| {name} | {made} | {seconds:.1f} | {rate:.1f} | {cuts[9]:.2f} | {cuts[18]:.2f} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--write", type=Path)
    a = parser.parse_args()
    with server(a.model, a.clients) as (url, start):
        asyncio.run(load(url, 1, 1, 1))
        first_token = time.perf_counter() - start
        asyncio.run(load(url, a.clients, a.clients, 8))  # warm
        one = asyncio.run(load(url, 1, a.requests, a.tokens))
        many = asyncio.run(load(url, a.clients, a.requests, a.tokens))
    (slow, first_row), (fast, second_row) = row("1", one), row(str(a.clients), many)
    lines = [
        f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}; `benchmarks/serving.py --model {a.model} "
        f"--clients {a.clients} --requests {a.requests} --tokens {a.tokens}`",
        "",
        "| clients | tokens | seconds | tokens/s | first token p50, s | p95, s |",
        "|---|---:|---:|---:|---:|---:|",
        first_row,
        second_row,
        "",
        f"Ratio of tokens/s: {fast / slow:.2f}. From the start of the process to the first token: {first_token:.1f} s.",
    ]
    print("\n".join(lines))
    if a.write:
        a.write.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
