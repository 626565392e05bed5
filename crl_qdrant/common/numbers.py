"""Numbers as other libraries hold them (lists, NumPy, torch, pandas, polars) -> float32 arrays."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from crl_qdrant.errors import EmbeddingError

__all__ = ["Float32Array", "as_numbers"]

Float32Array = npt.NDArray[np.float32]

_LARGEST: Final = float(np.finfo(np.float32).max)
_SMALLEST: Final = 1e-30  # squares of smaller float32 values are zero


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
