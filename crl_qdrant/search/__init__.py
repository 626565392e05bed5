"""Ways to find points by criterion.

`query.py` is what can be asked and `hit.py` what is answered; `searcher.py` goes from one to the other by way of a
plan (`plan.py`), the three strategies (`strategies.py`, `scan.py`) and, for several criteria, `combine.py`.
"""

from crl_qdrant.search.hit import Explanation, Hit, Hits, Plan, WordShare
from crl_qdrant.search.query import Query

__all__ = ["Explanation", "Hit", "Hits", "Plan", "Query", "WordShare"]
