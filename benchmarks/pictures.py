"""The pictures of README and docs, made anew from real runs.

usage: pictures.py FOLDER [--only terminal report page results badges trees gates personal] [--output docs/images]
FOLDER is that of a finished `make demo` (runs/pipeline-dpo). `terminal` trains the SFT stage of configs/sft.yaml once more, with the
output in FOLDER/../picture-sft; `report` is the DPO stage's report.html and `page` the web page answering with its model, both in
headless Chromium; `results` is drawn from the table in docs/results.md `badges` from pyproject.toml, and
what docs/explained.md shows by the code that it explains (explained_pictures.py).
"""

import argparse
import re
import sys
from pathlib import Path

import browser_pictures as browser
import explained_pictures as explained
from terminal_picture import record, svg

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 150_000
SECTION = "## Real medical text"
STAGES = ("base", "pt", "sft", "dpo")
# How a row of the table is called in the picture, and which way is better.
ROWS = {
    "document perplexity": "lower is better",
    "answer loss": "lower is better",
    "preference accuracy": "higher is better",
    "preference margin": "higher is better",
    "stop rate": "share of answers that end",
}
SHARES = {"preference accuracy", "stop rate"}


def terminal(folder: Path, out: Path) -> None:
    """The start and the end of a real training, as a terminal of 104 columns shows them."""
    words = ["train", "sft", "--config", "configs/sft.yaml", f"output_dir={folder.parent / 'picture-sft'}"]
    lines = record([sys.executable, "-m", "medicalgpt", *words], ROOT)
    ends = next(i for i, line in enumerate(lines) if "finished" in line)
    plan = next(i for i, line in enumerate(lines) if " steps × " in line)
    shown = ["\x1b[1m$ medicalgpt train sft --config configs/sft.yaml\x1b[0m", *lines[: plan + 1], "⋮", *lines[ends:]]
    hidden = str(folder.parent / "picture-sft")
    (out / "terminal.svg").write_text(svg([line.replace(hidden, "runs/sft") for line in shown]), encoding="utf-8")


def results(folder: Path, out: Path) -> None:
    """Every number of the table of real medical text with its interval, none left out."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    table = results_table((ROOT / "docs/results.md").read_text(encoding="utf-8"))
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "medicalgpt", "font.family": "sans-serif"}):
        figure, axes = plt.subplots(1, len(table), figsize=(13, 3.3), layout="constrained")
        for axis, (name, cells) in zip(axes, table.items()):
            values = [value for value, _, _ in cells]
            spread = [[v - low for v, low, _ in cells], [high - v for v, _, high in cells]]
            axis.errorbar(range(len(cells)), values, spread, fmt="o-", color="#0f766e", capsize=4, lw=1.5)
            for x, value in enumerate(values):
                axis.annotate(
                    f"{value:g} %" if name in SHARES else f"{value:g}",
                    (x, value),
                    (6, 5),
                    textcoords="offset points",
                    fontsize=9,
                )
            axis.set_title(f"{name}\n({ROWS[name]})", fontsize=10)
            axis.set_xticks(range(len(cells)), STAGES)
            axis.margins(x=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        figure.savefig(out / "results.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def results_table(page: str) -> dict[str, list[tuple[float, float, float]]]:
    """What all four models made of the same held-out rows of real text: by row of the table (value, low, high) of each stage."""
    text = page.partition(SECTION)[2]
    lines = text.partition(f"| | {' | '.join(STAGES)} |\n")[2].partition("\n\n")[0].splitlines()[1:]
    found = {}
    for line in lines:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        value, low, high = zip(*(map(float, re.findall(r"-?\d+\.\d+", cell)) for cell in cells))
        found[name] = list(zip(value, low, high))
    return found


def badges(folder: Path, out: Path) -> None:
    """What pyproject.toml says of the license and of Python; drawn here, so that no page asks another host for them."""
    for name, (label, value) in badge_texts((ROOT / "pyproject.toml").read_text(encoding="utf-8")).items():
        (out / f"badge-{name}.svg").write_text(_badge(label, value), encoding="utf-8")


def badge_texts(project: str) -> dict[str, tuple[str, str]]:
    """Left and right half of each badge by its name."""
    import tomllib

    facts = tomllib.loads(project)
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(facts["project"]["classifiers"]))
    return {
        "license": ("license", facts["project"]["license"]),
        "python": ("Python", " | ".join(versions)),
        "types": ("types", "mypy strict" if facts["tool"]["mypy"]["strict"] else "mypy"),
    }


def _badge(label: str, value: str) -> str:
    left, right = (round(len(text) * 6.6 + 14) for text in (label, value))
    width, font = left + right, 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#fff"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {value}">'
        f'<rect width="{width}" height="20" rx="3" fill="#0f766e"/>'
        f'<path d="M3 0h{left - 3}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#444"/>'
        f'<g {font} text-anchor="middle"><text x="{left / 2}" y="14">{label}</text>'
        f'<text x="{left + right / 2}" y="14">{value}</text></g></svg>\n'
    )


PICTURES = {
    "terminal": terminal,
    "report": browser.report,
    "page": browser.page,
    "results": results,
    "badges": badges,
    "trees": explained.trees,
    "gates": explained.gates,
    "personal": explained.personal,
}
OF_README = (
    "terminal.svg",
    "report.png",
    "web-page.png",
    "results.svg",
    "badge-license.svg",
    "badge-python.svg",
    "badge-types.svg",
)
OF_EXPLAINED = ("trees.svg", "gates.svg", "personal-data.svg")
FILES = OF_README + OF_EXPLAINED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        PICTURES[name](args.folder, args.output)
    for file in sorted(args.output.iterdir()):
        size = file.stat().st_size
        print(f"{file}  {size:,} bytes" + ("  TOO LARGE" if size > MOST_BYTES else ""))


if __name__ == "__main__":
    main()
