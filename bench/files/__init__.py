"""How well files are read: documents written by real libraries, whose words, rows and values are known, go
through the reader; `python -m bench.files`, or `make files`, reports what came of them, kind by kind.

Start at `case.py` for what a document is; they come from `makers/`, and `measure.py` counts.
"""
