-- What is remembered beyond a conversation: a row for each version of a fact. `owner`: the person, group or session whose
-- fact it is; `person`: who said it; `source_key` and `turn`: the session that it was said in, and the turn that wrote it,
-- NULL for what was written by hand. `is_undone`: a rewind took that turn off the live line of its session. `stands`: it is
-- the newest version that is not undone; kept here so that the facts of an owner are read by one index.
CREATE TABLE fact (
  n          INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL,
  layer      TEXT    NOT NULL,
  owner      TEXT    NOT NULL,
  person     TEXT    NOT NULL,
  source_key TEXT,
  turn       INTEGER,
  is_public  INTEGER NOT NULL,
  is_pinned  INTEGER NOT NULL,
  is_undone  INTEGER NOT NULL DEFAULT 0,
  stands     INTEGER NOT NULL DEFAULT 0,
  created_at REAL    NOT NULL,
  body       BLOB    NOT NULL
) STRICT;
CREATE INDEX fact_by_id ON fact (id, n);
CREATE INDEX fact_standing ON fact (layer, owner, is_pinned, created_at) WHERE stands = 1;
CREATE INDEX fact_public ON fact (layer, owner, is_pinned, created_at) WHERE stands = 1 AND is_public = 1;
CREATE INDEX fact_by_source ON fact (source_key) WHERE source_key IS NOT NULL;
CREATE INDEX fact_by_person ON fact (person);
CREATE INDEX fact_by_owner ON fact (layer, owner);

-- What was deleted is not left in the log of writes either.
CREATE TRIGGER fact_goes AFTER DELETE ON fact BEGIN
  INSERT OR IGNORE INTO chore (name) VALUES ('truncate');
END;

-- Whether a turn of the session ever wrote a fact: only then has a rewind some to take back.
ALTER TABLE session ADD COLUMN has_facts INTEGER NOT NULL DEFAULT 0;
