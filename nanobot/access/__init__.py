"""Who may do what, and how much of it.

Knows: API keys and what they allow, quotas, rates.
Does not know: HTTP, or where a request came from.
Start at `caller.py` and `admission.py`; `quotas.py` counts.
"""
