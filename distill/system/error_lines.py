"""Errors of libraries in one line."""

import re

_MOST_LETTERS = 400


def first_line(error: Exception) -> str:
    """Returns the line of an error that says what is wrong."""
    lines = (line.strip() for line in str(error).splitlines())
    heads = ("Graph execution error", "Detected at node", "Exception enc", "<")
    told = [line for line in lines if line and not line.startswith(heads)]
    text = told[0] if told else type(error).__name__
    text = re.sub(r"\{\{.*?\}\} ?", "", text)  # TensorFlow's names of nodes
    return text[:_MOST_LETTERS].removesuffix(".")
