"""`make memory`: what is found again of long conversations, and what that costs.

Each part is a file of its own with a row in `__main__.PARTS`; it writes its tables into the documentation.
Start at `recall.py`.
"""
