"""The exception tree. Every message says what came, what is allowed and what to do; none carries patient text.

MedicalGPTError
├── ConfigError   a configuration file, key or value
├── DataError     an input file or row
├── RenderError   a chat template, tokenizer or rendered row
├── ModelError    loading, adapting or merging a model
├── RunError      a run folder, checkpoint, or a run that had to stop
└── ServeError    chat, generation and servers
    ├── ContextError  prompt and answer do not fit into the model's context
    ├── BusyError     more is asked at once than the server holds; asking again later may succeed
    ├── GrammarError  a JSON schema proved too complex while an answer was written
    └── LostError     the process that ran the model has ended; nothing more can be asked of it
"""


class MedicalGPTError(Exception):
    """Base of every error this package raises on purpose; the CLI prints it without a traceback and exits with 2."""


class ConfigError(MedicalGPTError):
    """A configuration file, key or value is wrong."""


class DataError(MedicalGPTError):
    """An input file or row cannot be used."""


class RenderError(MedicalGPTError):
    """A chat template, tokenizer or rendered row breaks a promise that training relies on."""


class ModelError(MedicalGPTError):
    """A model cannot be loaded, adapted, merged or estimated."""


class RunError(MedicalGPTError):
    """A run folder or checkpoint is unusable, or a run had to stop."""


class ServeError(MedicalGPTError):
    """Chat, generation or a server cannot go on."""


class ContextError(ServeError):
    """Prompt and answer together are longer than the model's context."""


class BusyError(ServeError):
    """The model answers as many requests as it may, and as many as may wait are waiting."""


class GrammarError(ServeError):
    """The JSON schema that an answer is held to proved too complex while it was written; other answers may succeed."""


class LostError(ServeError):
    """The process that ran the model has ended; only a new start helps."""
