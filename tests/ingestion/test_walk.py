"""The walk of an ingested item: few modules see every item, so that a newcomer has read them soon."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from fakes import ColourEncoder, picture

import crl_qdrant
from crl_qdrant import CRLCollection, Item

PACKAGE = str(Path(crl_qdrant.__file__).parent)


def calls(call: Callable[[], object]) -> Counter[str]:
    """How often functions of each module of crl_qdrant are entered during a call, in its threads too."""
    entered: Counter[str] = Counter()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            entered[str(Path(frame.f_code.co_filename).relative_to(PACKAGE))] += 1

    before = sys.getprofile()
    threading.setprofile(look)
    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]
    return entered


def test_an_ingested_item_enters_at_most_eight_modules(tmp_path: Path) -> None:
    products = CRLCollection.create("products", location=tmp_path, encoder=ColourEncoder())

    def ingest(first: int, items: int) -> None:
        numbers = range(first, first + items)
        report = products.ingest([Item(n, image=picture("red"), payload={"n": n}, key=str(n)) for n in numbers])
        assert report.written == items

    ingest(0, 9)
    one, nine = calls(lambda: ingest(10, 1)), calls(lambda: ingest(20, 9))
    # entered eight times more for eight more items of one batch: the item's own walk, not the call's or the batch's
    entered = {module for module in nine if nine[module] >= one[module] + 8}
    assert {"ingestion/writer.py", "ingestion/pictures.py", "common/images.py"} <= entered
    assert len(entered) <= 8, sorted(entered)
