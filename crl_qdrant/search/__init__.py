"""Ways to find points by criterion.

The walk of a query: `query.py` (checked) -> `resolve.py` (a `Request` with `Goal`s and a `Plan`) -> `searcher.py`. The
engine's answer is used as it is where it can be. Everything else goes through `candidates.py`: the three strategies
(`nearest.py`, `exact.py`, `memory/`), the scores of several goals (`standardizing.py`, `scoring.py`), cut-offs and
diversity. `assemble.py` makes hits of the rest (`variants.py`, `explain.py`, `closeness.py`).
"""
