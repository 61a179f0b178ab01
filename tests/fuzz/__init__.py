"""Fuzzing: whatever comes over a wire is taken apart, or refused with one of the errors that are documented.

Start at `target.py`. `run.py` spreads the time over the targets, each in a process of its own under atheris
(libFuzzer); `test_fuzz.py` runs the same targets without it, for a moment, as a part of `make check`.
"""
