"""qdrant_client.models.Filter -> qdrant_edge.Filter: the same conditions, other classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from crl_qdrant.common.arguments import checked_filter
from crl_qdrant.errors import FilterError

__all__ = ["edge_filter"]


def edge_filter(query_filter: models.Filter | None) -> edge.Filter | None:
    """The same filter for Qdrant Edge.

    Raises:
        FilterError: if it is no `models.Filter`, or has a condition or a value that Edge does not have.
    """
    wanted = checked_filter(query_filter)
    if wanted is None:
        return None
    try:
        return _filter(wanted)
    except FilterError:
        raise
    except Exception as error:  # Edge's constructors raise bare Exceptions for values out of range
        hint = (
            "; a part with blanks or dots in it goes in quotes, key='\"in stock\"'" if "JSON path" in str(error) else ""
        )
        raise FilterError(f"Qdrant Edge refused the filter: {error}{hint}") from error


def _filter(query_filter: models.Filter) -> edge.Filter:
    minimum = query_filter.min_should
    return edge.Filter(
        must=_conditions(query_filter.must),
        should=_conditions(query_filter.should),
        must_not=_conditions(query_filter.must_not),
        min_should=edge.MinShould(_conditions(minimum.conditions) or [], minimum.min_count) if minimum else None,
    )


def _conditions(conditions: Any) -> list[Any] | None:
    if conditions is None:
        return None
    # qdrant_client takes a lone condition where a list is expected
    return [_condition(each) for each in (conditions if isinstance(conditions, list) else [conditions])]


def _condition(condition: Any) -> Any:
    translate = _CONDITIONS.get(type(condition))
    if translate is None:
        raise FilterError(f"Qdrant Edge has no condition {type(condition).__name__}; use a Qdrant server for it")
    return translate(condition)


def _field(condition: models.FieldCondition) -> edge.FieldCondition:
    parts: dict[str, Any] = {}
    for name in ("match", "range", "geo_bounding_box", "geo_radius", "geo_polygon", "values_count"):
        value = getattr(condition, name)
        if value is None:
            continue
        translate = _VALUES.get(type(value))
        if translate is None:
            raise FilterError(
                f"Qdrant Edge has no {type(value).__name__} (field {condition.key!r}); use a Qdrant server"
            )
        parts[name] = translate(value)
    return edge.FieldCondition(condition.key, is_empty=condition.is_empty, is_null=condition.is_null, **parts)


def _slice(condition: models.SliceCondition) -> Any:
    # Edge has the class, its type stubs lack it
    return edge.SliceCondition(total=condition.slice.total, index=condition.slice.index)  # type: ignore[attr-defined]


def _scalar(value: bool | int | str) -> Any:
    # Edge takes a Python bool for an integer, and then matches no boolean; a NumPy one it takes as it is
    return np.bool_(value) if isinstance(value, bool) else value


def _datetimes(value: models.DatetimeRange) -> edge.RangeDateTime:
    bounds = {name: getattr(value, name) for name in ("gte", "gt", "lte", "lt")}
    return edge.RangeDateTime(**{name: bound and bound.isoformat() for name, bound in bounds.items()})


def _point(point: models.GeoPoint) -> edge.GeoPoint:
    return edge.GeoPoint(point.lon, point.lat)


def _line(line: models.GeoLineString) -> list[edge.GeoPoint]:
    return [_point(point) for point in line.points]


_CONDITIONS: Final[dict[type, Callable[[Any], Any]]] = {
    models.Filter: _filter,
    models.FieldCondition: _field,
    models.IsEmptyCondition: lambda c: edge.IsEmptyCondition(c.is_empty.key),
    models.IsNullCondition: lambda c: edge.IsNullCondition(c.is_null.key),
    models.HasIdCondition: lambda c: edge.HasIdCondition(set(c.has_id)),
    models.HasVectorCondition: lambda c: edge.HasVectorCondition(c.has_vector),
    models.NestedCondition: lambda c: edge.NestedCondition(c.nested.key, _filter(c.nested.filter)),
    models.SliceCondition: _slice,
}
_VALUES: Final[dict[type, Callable[[Any], Any]]] = {
    models.MatchValue: lambda v: edge.MatchValue(_scalar(v.value)),
    models.MatchText: lambda v: edge.MatchText(v.text),
    models.MatchTextAny: lambda v: edge.MatchTextAny(v.text_any),
    models.MatchPhrase: lambda v: edge.MatchPhrase(v.phrase),
    models.MatchPrefix: lambda v: edge.MatchPrefix(v.prefix),
    models.MatchSubstring: lambda v: edge.MatchSubstring(v.substring),
    models.MatchAny: lambda v: edge.MatchAny(v.any),
    models.MatchExcept: lambda v: edge.MatchExcept(v.except_),
    models.Range: lambda v: edge.RangeFloat(gte=v.gte, gt=v.gt, lte=v.lte, lt=v.lt),
    models.DatetimeRange: _datetimes,
    models.GeoBoundingBox: lambda v: edge.GeoBoundingBox(_point(v.top_left), _point(v.bottom_right)),
    models.GeoRadius: lambda v: edge.GeoRadius(_point(v.center), v.radius),
    models.GeoPolygon: lambda v: edge.GeoPolygon(_line(v.exterior), [_line(each) for each in v.interiors or []]),
    models.ValuesCount: lambda v: edge.ValuesCount(lt=v.lt, gt=v.gt, lte=v.lte, gte=v.gte),
}
