"""Memory of the API under load: what a server holds after every so many requests, with prompts of different lengths.

usage: serving_memory.py [--model smollm2-135m] [--requests 2000] [--clients 8] [--longest 1000] [--tokens 16] [--write FILE]
Questions are random words of a fixed seed, every other answer is a stream. Linux only (/proc). To compare with what
torch and oneDNN keep by themselves, set ONEDNN_PRIMITIVE_CACHE_CAPACITY=1024 and LRU_CACHE_CAPACITY=1024.
"""

import argparse
import http.client
import json
import os
import platform
import random
import subprocess
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from serving import server

WORDS = ["fever", "cough", "pain", "rest", "water", "doctor", "dose", "child", "days", "blood", "pressure", "asthma"]


def resident(process: int) -> int:
    """MiB."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def listening(port: int) -> int:
    """The process that the server is, which is a child of this one."""
    out = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
    )
    return next(int(line.split()[0]) for line in out.stdout.splitlines() if f"--port {port}" in line)


def question(number: int, longest: int) -> str:
    """Up to so many characters."""
    draw = random.Random(number)
    return " ".join(draw.choices(WORDS, k=draw.randint(1, longest // 6)))


def ask(address: tuple[str, int], numbers: Iterator[int], lock: threading.Lock, a: argparse.Namespace) -> None:
    """One client: requests until there are no more numbers."""
    connection = http.client.HTTPConnection(*address, timeout=600)
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        turn = {"role": "user", "content": question(number, a.longest)}
        body = {"model": "model", "messages": [turn], "max_tokens": a.tokens, "stream": number % 2 == 0}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read()
        if response.status != 200:
            raise SystemExit(f"{response.status}: {said.decode()[:200]}")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--longest", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--write", type=Path)
    a = parser.parse_args()
    rows, lock = [], threading.Lock()
    with server(a.model, a.clients) as (url, _):
        place = urlsplit(url)
        address = place.hostname or "", place.port or 0
        process = listening(address[1])
        http.client.HTTPConnection(*address, timeout=600).request("GET", "/health")
        for first in range(0, a.requests, step := max(1, a.requests // 10)):
            rows.append(f"| {first} | {resident(process)} |")
            numbers = iter(range(first, min(first + step, a.requests)))
            clients = [threading.Thread(target=ask, args=(address, numbers, lock, a)) for _ in range(a.clients)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        rows.append(f"| {a.requests} | {resident(process)} |")
    lines = [
        f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}; `benchmarks/serving_memory.py --model {a.model} "
        f"--requests {a.requests} --clients {a.clients} --longest {a.longest} --tokens {a.tokens}`",
        "",
        "| requests | resident, MiB |",
        "|---:|---:|",
        *rows,
    ]
    print("\n".join(lines))
    if a.write:
        a.write.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
