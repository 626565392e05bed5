"""Images with one label for each criterion: what clustering and few-shot classification are measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from crl_qdrant.evaluation.datasets.files import spread

__all__ = ["LabelledImages", "LabelledSet"]


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """N images, and by criterion their N labels.

    Attributes:
        images: files, in an order that is the same on every machine.
        labels: criterion -> the images' values, in the images' order.
    """

    images: tuple[Path, ...]
    labels: Mapping[str, tuple[str, ...]]

    def limited(self, limit: int | None) -> LabelledImages:
        """At most `limit` of the images, evenly spread over them, for a quick run."""
        kept = spread(len(self.images), limit)
        return LabelledImages(
            tuple(self.images[row] for row in kept),
            {criterion: tuple(values[row] for row in kept) for criterion, values in self.labels.items()},
        )


class LabelledSet(NamedTuple):
    """A published data set of labelled images.

    Attributes:
        title: its name.
        load: gives what is in a folder.
        published: how many images it has.
        prompts: by criterion, the sentence that the paper's code embeds a word in.
    """

    title: str
    load: Callable[[Path], LabelledImages]
    published: int
    prompts: Mapping[str, str]
