"""What a running server tells about itself: metrics, log lines, traces.

Knows: the values of `core`, and what it is told through `core.observer`.
Does not know: who tells it.
Start at `metrics.py`.
"""
