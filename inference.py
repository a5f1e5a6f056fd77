"""Talk to a model, or answer a file of questions: `python inference.py --help`."""

from medicalgpt.cli.legacy import inference

if __name__ == "__main__":
    inference()
