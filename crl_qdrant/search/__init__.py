"""Ways to find points by criterion.

`query.py` is what can be asked and `results.py` what is answered; `searcher.py` goes from one to the other by way of a
plan (`plan.py`), the three strategies (`strategies.py`, `memory/`) and, for several criteria, `scoring.py`.
"""
