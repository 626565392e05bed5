"""Embeddings as arrays: read from lists, NumPy, torch, pandas or polars, checked, and scaled to unit length."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from crl_qdrant.common.arguments import is_scalar
from crl_qdrant.errors import EmbeddingError

__all__ = [
    "Float32Array",
    "Rows",
    "as_numbers",
    "flaw",
    "from_base64",
    "matrix",
    "matrix_or_rows",
    "to_base64",
    "unit_or_zero",
    "unit_rows",
    "unit_vector",
]

Float32Array = npt.NDArray[np.float32]
Rows = TypeVar("Rows", npt.NDArray[np.float32], npt.NDArray[np.float64])

_LARGEST: Final = float(np.finfo(np.float32).max)
_SMALLEST: Final = 1e-30  # squares of smaller float32 values are zero


def matrix(embeddings: Any, *, what: str, rows: int | None = None, dimension: int | None = None) -> Float32Array:
    """Return `embeddings` as a float32 array [N, d]; its shape is checked and its values are not.

    Args:
        embeddings: as `as_numbers` takes them.
        what: names them in messages.
        rows, dimension: N and d, where they are known.

    Raises:
        EmbeddingError: if they are not numbers, not two-dimensional, or not of the expected rows or dimension; the
            message names the first row that does not fit.
    """
    try:
        array = as_numbers(embeddings)
    except EmbeddingError as error:
        raise EmbeddingError(f"{what} must be an array of numbers [N, d]: {error}") from error
    if rows == 0 and array.shape == (0,) and dimension is not None:
        array = array.reshape(0, dimension)
    if array.ndim != 2:
        raise EmbeddingError(f"{what} must have two dimensions [N, d], got shape {list(array.shape)}")
    if rows is not None and array.shape[0] != rows:
        raise EmbeddingError(f"{what} must have one row for each of {rows} entries, got {array.shape[0]} rows")
    if dimension is not None and array.shape[1] != dimension:
        raise EmbeddingError(f"{what} must have {dimension} columns, the collection's dimension, got {array.shape[1]}")
    return array


def matrix_or_rows(embeddings: Any, *, what: str, rows: int, dimension: int) -> Float32Array | list[Any]:
    """Return `embeddings` as `matrix` does, or row by row where some of the rows fit and others do not.

    Raises:
        EmbeddingError: as `matrix`, if no row fits, or their number is another.
    """
    try:
        return matrix(embeddings, what=what, rows=rows, dimension=dimension)
    except EmbeddingError:
        if isinstance(embeddings, (str, bytes)) or not isinstance(embeddings, Iterable) or is_scalar(embeddings):
            raise
        separate = list(np.asarray(embeddings) if hasattr(embeddings, "columns") else embeddings)
        if len(separate) != rows or not any(_fits(row, dimension) for row in separate):
            raise
        return separate


def _fits(row: Any, dimension: int) -> bool:
    try:
        return as_numbers(row).shape == (dimension,)
    except EmbeddingError:
        return False


def flaw(row: Float32Array) -> str | None:
    """Return why a single embedding [d] cannot be used, or None."""
    if not np.isfinite(row).all():
        return "holds NaN or infinite values"
    if not row.any():
        return "is all zeros, so it has no direction to compare"
    return None


def unit_rows(embeddings: Any, *, what: str, rows: int | None = None, dimension: int | None = None) -> Float32Array:
    """Return a float32 copy [N, d] with rows of unit length.

    Raises:
        EmbeddingError: as `matrix`; also if a row has NaN, infinite or only zero values.
    """
    array = matrix(embeddings, what=what, rows=rows, dimension=dimension)
    for index in np.flatnonzero(~np.isfinite(array).all(axis=1) | ~array.any(axis=1)):
        raise EmbeddingError(f"row {index} of {what} {flaw(array[index])}")
    return _scaled(array)


def unit_vector(embedding: Any, *, what: str, dimension: int) -> Float32Array:
    """Return the vector at unit length, a float32 copy [d]; equal to it where it has that length already.

    Raises:
        EmbeddingError: if it is not one vector of that dimension, or has NaN, infinite or only zero values.
    """
    try:
        vector = np.array(as_numbers(embedding), order="C")  # ours alone, whatever the caller does with the array
    except EmbeddingError as error:
        raise EmbeddingError(f"{what} must be an array of {dimension} numbers: {error}") from error
    if vector.shape != (dimension,):
        raise EmbeddingError(f"{what} must have shape [{dimension}], got {list(vector.shape)}")
    # one product answers for almost every vector: it is NaN, infinite or zero exactly where the vector is unusual
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(np.dot(vector, vector))
    if 1e-12 < square < 1e12:
        return vector if abs(square - 1.0) < 1e-6 else vector / np.float32(square**0.5)
    if reason := flaw(vector):
        raise EmbeddingError(f"{what} {reason}")
    scaled: Float32Array = _scaled(vector[None])[0]
    return scaled


def unit_or_zero(rows: Rows, nothing: float = 0.0) -> Rows:
    """Return rows [N, r] at unit length, in their precision; zeros where a row is no longer than `nothing`."""
    if len(rows) == 1:  # a search's own: calls that take many rows are several times slower for one
        length = float(np.dot(rows[0], rows[0])) ** 0.5
        return rows / length if length > nothing else np.zeros_like(rows)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    if lengths.size and lengths.min() > nothing:
        scaled: Rows = rows / lengths
        return scaled
    kept: Rows = np.where(lengths > nothing, rows / np.maximum(lengths, 1e-30), 0.0).astype(rows.dtype)
    return kept


def to_base64(array: Float32Array) -> str:
    """Return the array's values as text, for JSON; every bit is kept."""
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()


def from_base64(text: str, *, rows: int) -> Float32Array:
    """Return the array [rows, …] that `to_base64` wrote; read-only."""
    flat: Float32Array = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    return flat.reshape(rows, -1)


def _scaled(array: Float32Array) -> Float32Array:
    rows = array.astype(np.float64)  # squares of large or small float32 values leave float32's range
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    # rows of unit length stay as they are, to the bit: what was stored and read back is still the same embedding
    return np.where(np.abs(norms - 1.0) < 1e-6, array, (rows / norms).astype(np.float32))


def as_numbers(values: Any) -> Float32Array:
    """Return `values` as a float32 array of their shape.

    Args:
        values: numbers nested in lists; an array or tensor of any real type (bfloat16 and float8 too), on any device;
            a list, a pandas or a polars column of such rows. A row beyond float32's range is scaled into it: only an
            embedding's direction counts.

    Raises:
        EmbeddingError: if something is not a real number: a text, a date, a complex or a masked value; or if rows are
            of different lengths. The message is the reason alone, and names the first such row.
    """
    if type(values) is np.ndarray and values.dtype == np.float32:
        return values
    return _float32(_array(values))


def _array(values: Any) -> npt.NDArray[Any]:
    if _is_tensor(values):
        return _of_tensor(values)
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.getmaskarray(values).any():
            raise EmbeddingError("it holds masked values")
        return _checked(values.data)
    if isinstance(values, (list, tuple)) and any(_is_nested(each) for each in values):
        return _stacked(list(values))
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # among them rows of different lengths
        if isinstance(values, (list, tuple)):
            return _stacked(list(values))
        raise EmbeddingError(str(error)) from error
    return _checked(array)


def _checked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    kind = array.dtype.kind
    if kind in "fiub":
        return array
    if kind == "O":
        return _of_objects(array)
    if kind in "V" and array.dtype.names is None and array.dtype.name.startswith(("bfloat", "float", "int", "uint")):
        return array.astype(np.float32)  # ml_dtypes
    called = {"c": "complex numbers", "U": "texts", "S": "bytes", "M": "dates", "m": "times"}.get(kind, array.dtype)
    raise EmbeddingError(f"it holds {called}")


def _of_objects(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flat = array.ravel().tolist()
    if array.ndim == 1 and any(_is_nested(each) or isinstance(each, (list, tuple)) for each in flat):
        return _stacked(flat)
    return np.array([_number(each) for each in flat], dtype=np.float64).reshape(array.shape)


def _number(value: Any) -> float:
    if not isinstance(value, (Real, Decimal)):
        raise EmbeddingError(f"it holds {value!r:.40}, which is not a number")
    try:
        return float(value)
    except (OverflowError, ValueError) as error:
        raise EmbeddingError("it holds a number beyond the range of floats") from error


def _stacked(rows: list[Any]) -> npt.NDArray[Any]:
    arrays: list[Float32Array] = []
    for at, row in enumerate(rows):
        try:
            if row is None:
                raise EmbeddingError("it is None")
            arrays.append(_float32(_array(row)))
        except EmbeddingError as error:
            raise EmbeddingError(f"row {at}: {error}") from error
        if arrays[at].shape != arrays[0].shape:
            raise EmbeddingError(f"row {at} has shape {list(arrays[at].shape)}, row 0 {list(arrays[0].shape)}")
    return np.stack(arrays)


def _float32(array: npt.NDArray[Any]) -> Float32Array:
    with np.errstate(over="ignore", invalid="ignore"):
        single: Float32Array = array.astype(np.float32, copy=False)
    if array.dtype.itemsize <= 4 or array.dtype.kind != "f" or not array.size or not array.ndim:
        return single
    largest = np.abs(array).max(axis=-1, keepdims=True)
    beyond = np.isfinite(largest) & (largest > 0) & ((largest > _LARGEST) | (largest < _SMALLEST))
    if beyond.any():
        scaled: Float32Array = (array / np.where(beyond, largest, 1)).astype(np.float32)
        return scaled
    return single


def _is_nested(value: Any) -> bool:
    """Whether it is a row that NumPy may not read by itself: a tensor, a column's cell, a masked or object array."""
    return (hasattr(value, "__array__") and not isinstance(value, np.generic)) or isinstance(value, np.ma.MaskedArray)


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _of_tensor(tensor: Any) -> npt.NDArray[Any]:
    if tensor.is_complex():
        raise EmbeddingError("it holds complex numbers")
    dense = tensor.detach().to_dense() if tensor.layout.__str__() != "torch.strided" else tensor.detach()
    dense = dense.cpu()
    if dense.is_floating_point() and dense.element_size() < 4:
        dense = dense.float()  # NumPy has neither bfloat16 nor float8
    array: npt.NDArray[Any] = dense.resolve_neg().numpy()
    return array
