"""Ways to find points by criterion.

The walk of a query: `query.py` (checked) -> `resolve.py` (a `Request` with `Goal`s and a `Plan`) -> `searcher.py`,
which asks the engine where its answer is the answer. Everything else goes through `candidates.py`: the three strategies
(`nearest.py`, `exact.py`, `memory/`), the scores of several goals (`standardizing.py`, `scoring.py`), cut-offs, diversity.
`assemble.py` makes hits of what is left (`variants.py`, `explain.py`, `closeness.py`).
"""
