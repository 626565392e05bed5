"""The paper's prompts for a language model (arXiv 2510.04564, A.2.1, and its ablation of five)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["PAPER_PROMPT", "PROMPTS", "question"]

_RULES: Final = "Ensure all items are unique. You may describe the same thing in different ways."

PAPER_PROMPT: Final = f"Please generate common expressions to describe the {{criterion}}, as many as possible. {_RULES}"
"""The paper's prompt without two of its parts: the format of the list, which the schema of the answer sets, and three
synonyms as an example, which the authors chose for each criterion."""

_COUNTED_PAPER_PROMPT: Final = f"Please generate {{n}} expressions to describe the {{criterion}}. {_RULES}"

PROMPTS: Final = (
    "Generate common expressions to describe the {criterion}.",
    "List a wide variety of typical phrases used to characterize the {criterion}.",
    "Enumerate familiar terms or expressions people often use when referring to the {criterion}.",
    "Identify and list expressions frequently used to convey the concept of the {criterion}.",
    "How do people usually talk about the {criterion}?",
)
"""The prompts of the paper's ablation, in its order; the first is the default's short form."""


def question(prompt: str, name: str, *, n_words: int | None, domain: str | None, known: Sequence[str] = ()) -> str:
    """Return the prompt for one criterion, with a sentence for each further argument that is given.

    Args:
        prompt: a text with "{criterion}", where the name goes.
        name: the criterion's name; "_" stands for a space.
        n_words: how many words to ask for, in the paper's own words where the prompt is the paper's.
        domain: what the objects are.
        known: words not to give again.
    """
    if n_words is not None:
        prompt = _COUNTED_PAPER_PROMPT if prompt == PAPER_PROMPT else f"{prompt} Give {{n}} of them."
        prompt = prompt.replace("{n}", str(n_words))
    sentences = [prompt.replace("{criterion}", " ".join(name.replace("_", " ").split()))]
    if domain is not None:
        sentences.append(f"The objects are {domain.strip()}.")
    if known:
        sentences.append(f"Leave out those that are there already: {', '.join(known)}.")
    return " ".join(sentences)
