"""What a server must survive: killed, paused and restarted at random, at each write boundary, and on a full
disk.

`python -m tests.chaos --minutes N [--seed S]` is the long run (`run.py`); the files `test_*.py` are the short
ones.
"""
