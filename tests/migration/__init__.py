"""A database of format 5 as a crash left it, and what every route answered once the code of that time had
opened it.

`old.sql`, `uploads/` and `known.json` are the data, made through the HTTP API over four days of a clock set
by hand; `answers.json.gz` are the answers, save that the histories which clients send along are answered as
they should be now, and that completions have no empty fingerprint.
"""
