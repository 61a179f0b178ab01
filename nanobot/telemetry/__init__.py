"""What a running server tells of itself: metrics, log lines, traces. Knows the words of `core` only; the
rooms tell it through `core.observer`.

Start at `metrics.py`.
"""
