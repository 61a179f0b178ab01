-- What users call their sessions; `metadata` is a JSON object of strings.
ALTER TABLE session ADD COLUMN title TEXT;
ALTER TABLE session ADD COLUMN metadata BLOB;

-- Text search. Messages up to `indexed_seq` are in the index; the rest comes in while nothing else is to be done, and before a search.
-- The index has no copy of the texts: to take one out, the very text that went in must be given (`stores/search.py`).
-- rowid: session << 32 | seq.
ALTER TABLE session ADD COLUMN indexed_seq INTEGER NOT NULL DEFAULT 0;
CREATE INDEX session_to_index ON session (id) WHERE last_seq > indexed_seq;
CREATE VIRTUAL TABLE search USING fts5 (text, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2');

-- What is still to be done for deletions, so that a crash does not forget it: write the index anew, empty the log.
CREATE TABLE chore (
  name       TEXT    PRIMARY KEY,
  is_started INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID, STRICT;
