"""The tools of the web: `web_fetch` reads a page, `web_search` asks a search engine.

What they return was written by strangers, and is marked as such (`untrusted.py`).
"""
