"""Errors in the words of the command line: the library names arguments and calls of Python, a command has options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["as_command_line", "option_names"]

# What the library advises in Python, and what does the same from the command line.
_ADVICE: Final[tuple[tuple[str, str], ...]] = (
    (r"materialize\((['\"]?)([^()'\"]+)\1\)", r"crl-qdrant materialize \2"),
    (r"define\((['\"])([^()'\"]+)\1\)", r"crl-qdrant criteria add \2"),
    (r"leave dimension out", "leave out --encoder, or bring embeddings of that encoder"),
    (
        r"pass embeddings \(a criterion's: Criterion\(name, words, embeddings=…\)\), or create a collection with an",
        "bring --embeddings (embeddings of a criterion's words: define it in Python), or make a collection with an",
    ),
    (r"and call migrate again", "and run the command again"),
    (r"on_error=(['\"])skip\1", "--skip"),
    (r"finish it first, or give it up with drop_previous\(\)", "finish it first with that encoder"),
    (r"by drop_previous\(\); call migrate again", "by another program; run the command again"),
    (r"drop_previous\(\) before the next one", "run the last migration again with --drop-previous first"),
    (r"set QDRANT_API_KEY or pass a QdrantClient with its api_key", "set QDRANT_API_KEY"),
    (r"search without `?explain`?, and ask describe\(\) for", "search without --explain for"),
    (r"ask for a number of words with n_words=", "ask for a number of words with --n-words"),
    (r"\b(preset|center|suppress)=(['\"])(\w+)\2", r"\1=\3"),
)

# Arguments of the library that a command has by another name.
_OTHER_NAMES: Final = {"k": "number", "with_payload": "field", "query_filter": "where"}


def option_names(command: Any, arguments: Sequence[str]) -> dict[str, str]:
    """The parameters of a command line's command: the name in Python -> --option or ARGUMENT.

    Args:
        command: the program's Click command.
        arguments: the command line.
    """
    for word in arguments:
        command = getattr(command, "commands", {}).get(word, command)
    names = {
        each.name: max(each.opts, key=len) if each.param_type_name == "option" else each.name.upper()
        for each in command.params
    }
    return names | {python: names[name] for python, name in _OTHER_NAMES.items() if name in names}


def as_command_line(message: str, names: Mapping[str, str]) -> str:
    """An error's message with `names` for arguments of Python, and commands for its calls."""
    for python, command in _ADVICE:
        message = re.sub(python, command, message)
    for name, option in names.items():
        message = message.replace(f"`{name}`", option)
        # only a name with "_" is no word of English
        if "_" in name:
            message = re.sub(rf"(?<![\w.'\"-]){name}(?![\w'\"(.])", option, message)
        message = re.sub(rf"(?<![\w.-]){name}=(['\"]?)([\w:.…]+)\1", rf"{option} \2", message)
        message = re.sub(rf"\A{name}(?= (?:must|is|are)\b)", option, message)
    return message
