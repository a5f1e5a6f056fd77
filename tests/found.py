"""What a detector finds in a text, as text."""

from medicalgpt.phi import Detector, Kind


def values(detector: Detector, text: str) -> list[str]:
    """All of it, in order of place."""
    return [text[span.start : span.end] for span in detector.find([text])[0]]


def names(detector: Detector, text: str) -> list[str]:
    """The names alone."""
    return [text[span.start : span.end] for span in detector.find([text])[0] if span.kind is Kind.NAME]
