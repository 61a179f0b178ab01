"""The readers of file formats, one module each, imported in the worker that reads a file of the format.

A module has one function `read(source: Source, buffer: TextBuffer) -> None`, which writes the text of the
file until the buffer is full, and raises `Unreadable` for a file that has none.
"""
