"""The web page: a chat with a model in the browser; nothing of it leaves the machine unless --share is given.

`texts`, `conversation`, `session`, `feedback`, `info` and `export` know nothing of Gradio; `page` and `launch` do.
"""
