"""Vectors made and compared by a process of its own, `child.py`: the server imports neither the model nor
numpy.

`process.py` is what other packages use.
"""
