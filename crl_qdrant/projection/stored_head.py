"""A criterion's trained head as a collection keeps it, and as it is applied to a few rows without waking torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from crl_qdrant.common.arrays import Float32Array, from_base64, Rows, to_base64, unit_or_zero

__all__ = ["StoredHead"]


class StoredHead(NamedTuple):
    """The NumPy form of `on_device.Head`: two linear layers behind the conditional representation.

    Its entry in the manifest takes h·(width + out)·4 bytes, and a third more as text: 0.3 MB for 100 words and the
    default settings.
    """

    hidden_weight: Float32Array  # [width, h]
    hidden_bias: Float32Array  # [h]
    out_weight: Float32Array  # [h, out]
    out_bias: Float32Array  # [out]

    @property
    def out(self) -> int:
        """Dimensions of what it gives."""
        return len(self.out_bias)

    def apply(self, representations: Rows) -> Rows:
        """Unit rows [N, out] of unit rows [N, width], in their precision; a row of zeros stays one."""
        kind = representations.dtype
        first, first_bias, second, second_bias = (each.astype(kind, copy=False) for each in self)
        hidden = (representations @ first + first_bias).clip(min=0)
        rows = (hidden @ second + second_bias) * representations.any(axis=1, keepdims=True)
        return unit_or_zero(rows)

    def tobytes(self) -> bytes:
        """All of its numbers, for a fingerprint."""
        return b"".join(np.ascontiguousarray(each).tobytes() for each in self)

    def to_entry(self) -> dict[str, Any]:
        """A JSON-able copy; `from_entry` reads it back."""
        biases = {"hidden_bias": to_base64(self.hidden_bias), "out_bias": to_base64(self.out_bias)}
        return {"hidden": to_base64(self.hidden_weight), "out": to_base64(self.out_weight), **biases}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], *, width: int) -> StoredHead:
        """The head that `to_entry` wrote, of representations of this width.

        Raises:
            ValueError: if its parts do not fit each other, or hold NaN or infinite values.
        """
        (hidden_bias,), (out_bias,) = (from_base64(entry[name], rows=1) for name in ("hidden_bias", "out_bias"))
        hidden_weight = from_base64(entry["hidden"], rows=width)
        out_weight = from_base64(entry["out"], rows=len(hidden_bias))
        head = cls(hidden_weight, hidden_bias, out_weight, out_bias)
        fits = hidden_weight.shape[1] == len(hidden_bias) > 0 and out_weight.shape[1] == len(out_bias) > 0
        if not fits or not all(np.isfinite(each).all() for each in head):
            raise ValueError(f"a head's parts have the shapes {', '.join(str(each.shape) for each in head)}")
        return head
