"""Embeddings as users hold them: every kind of numbers is read, and nothing else passes as numbers."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from crl_qdrant import CRLCollection, EmbeddingError
from crl_qdrant.common.arrays import matrix, unit_rows, unit_vector

ROWS = [[3.0, 4.0], [1.0, 0.0]]
TENSOR = torch.tensor(ROWS)


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        tuple(map(tuple, ROWS)),
        np.array(ROWS, dtype=np.float16),
        np.array(ROWS, dtype=np.longdouble),
        np.array(ROWS, dtype=np.int8),
        np.array(ROWS, dtype=ml_dtypes.bfloat16),
        np.array(ROWS, dtype=ml_dtypes.float8_e5m2),
        np.array(ROWS, dtype=object),
        np.ma.array(ROWS),
        TENSOR,
        TENSOR.bfloat16(),
        TENSOR.to(torch.float8_e4m3fn),
        TENSOR.half(),
        TENSOR.double().requires_grad_(),
        TENSOR.to_sparse(),
        TENSOR.long(),
        list(TENSOR.bfloat16()),
        list(TENSOR.clone().requires_grad_()),
        [TENSOR[0], [1, 0]],
        [np.array(ROWS[0]), tuple(ROWS[1])],
        pd.DataFrame(ROWS),
        pd.Series(ROWS),
        pd.Series([np.array(each, dtype=np.float32) for each in ROWS]),
        pd.Series([np.array(each) for each in ROWS]).to_numpy(),
        pl.DataFrame(ROWS, orient="row"),
        pl.Series(ROWS),
        pl.Series(ROWS, dtype=pl.Array(pl.Float32, 2)),
        pl.Series(ROWS).to_numpy(),
        [[Decimal(3), Fraction(4)], [1, 0]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_numbers(given: Any) -> None:
    found = matrix(given, what="embeddings", rows=2, dimension=2)
    assert (found.dtype, found.tolist()) == (np.float32, ROWS)
    first = given.iloc[0].tolist() if isinstance(given, pd.DataFrame) else given[0] if len(given) == 2 else ROWS[0]
    if not isinstance(given, pl.DataFrame):
        assert unit_vector(first, what="it", dimension=2) == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([[1, 2j]], "complex"),
        (TENSOR.to(torch.complex64), "complex"),
        (np.ma.array(ROWS, mask=[[0, 0], [0, 1]]), "masked"),
        ([["1", "2"]], "texts"),
        (np.array([[b"1", b"2"]]), "bytes"),
        (np.array([["2026-01-01", "2026-01-02"]], dtype="datetime64[D]"), "dates"),
        ([[datetime.date(2026, 1, 1), 1]], "which is not a number"),
        ([[1, None]], "None, which is not a number"),
        ([[1.0, "2"]], "texts"),
        ([[1, 10**400]], "beyond the range of floats"),
        ([[1, 2], None], "row 1: it is None"),
        ([[1, 2], [3]], r"row 1 has shape \[1\], row 0 \[2\]"),
        ([[1, 2], "ab"], "row 1: it holds texts"),
        ([TENSOR[0], TENSOR], "row 1 has shape"),
        (pd.Series([[1, 2], [3]]), "row 1 has shape"),
        (pl.Series([[1, 2], None]), "row 1: it is None"),
        (7, "two dimensions"),
        (None, "not a number"),
        ("text", "texts"),
        (object(), "not a number"),
        ({"a": 1}, "not a number"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_array_of_numbers(given: Any, complaint: str) -> None:
    with pytest.raises(EmbeddingError, match=complaint):
        matrix(given, what="embeddings")


@pytest.mark.parametrize("scale", [1e300, 1e39, 1e-40, 1e-300, 5e-324])
def test_directions_beyond_the_range_of_float32(scale: float) -> None:
    given = np.array([[1, 0], [1, 1]]) * scale
    right = [[1, 0], [0.5**0.5, 0.5**0.5]]
    assert unit_rows(given, what="it") == pytest.approx(np.array(right))
    assert unit_vector(given[1].tolist(), what="it", dimension=2) == pytest.approx(right[1])
    with pytest.raises(EmbeddingError, match="NaN or infinite"):
        unit_rows([[np.inf, 1e300]], what="it")


def test_a_row_that_does_not_fit_costs_no_other(location: Any) -> None:
    products = CRLCollection.create("products", location=location, dimension=2)
    given: list[Any] = [[1, 0], None, [1], TENSOR[0], "ab", [1, 2j], np.ma.array([1, 2], mask=[1, 0])]
    report = products.add(range(7), embeddings=given)
    assert (report.written, [each.id for each in report.rejected]) == (2, [1, 2, 4, 5, 6])
    assert "neither an image nor an embedding" in str(report.rejected[0])
    assert products.add([10, 11], embeddings=pl.Series([[1.0, 2.0], None])).written == 1
    assert products.add([12, 13], embeddings=pd.DataFrame([[1.0, 2.0], [None, 1.0]])).written == 1
    with pytest.raises(EmbeddingError):
        products.add([20, 21], embeddings=[None, [1]])
    assert products.search(embedding=TENSOR[0].bfloat16(), limit=1)[0].id == 3
