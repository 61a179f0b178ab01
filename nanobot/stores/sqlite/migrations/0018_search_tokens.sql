-- The text search is built anew of other tokens. `search` itself is made when the database is opened
-- (`stores/sqlite/index.py`), and again whenever the tokens change: `version` is that of the tokens in it.
CREATE TABLE search_version (version TEXT NOT NULL) STRICT;

-- Sessions whose messages up to `last_seq` have yet to come into an index that is being built anew.
CREATE TABLE unsearched (
  session  INTEGER PRIMARY KEY,
  last_seq INTEGER NOT NULL
) STRICT;
CREATE TRIGGER unsearched_goes AFTER DELETE ON session BEGIN
  DELETE FROM unsearched WHERE session = old.id;
END;
