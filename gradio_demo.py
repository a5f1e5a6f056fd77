"""Talk to a model in the browser: `python gradio_demo.py --help`."""

from medicalgpt.cli.legacy_demo import gradio_demo

if __name__ == "__main__":
    gradio_demo()
