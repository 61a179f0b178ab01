-- What is remembered beyond a conversation. `owner`: the person, group or session whose fact it is; `session` and
-- `turn`: where it was written, NULL for one written by hand. `is_undone`: its turn is off the live line of its session.
-- `stands`: it is neither undone nor ended; kept here so that the facts of an owner are read by one index.
CREATE TABLE fact (
  n          INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL UNIQUE,
  layer      TEXT    NOT NULL,
  owner      TEXT    NOT NULL,
  person     TEXT,
  session    INTEGER,
  turn       INTEGER,
  is_public  INTEGER NOT NULL,
  is_pinned  INTEGER NOT NULL,
  is_undone  INTEGER NOT NULL DEFAULT 0,
  stands     INTEGER NOT NULL DEFAULT 1,
  created_at REAL    NOT NULL,
  body       BLOB    NOT NULL
) STRICT;
CREATE INDEX fact_by_owner ON fact (layer, owner, stands, is_pinned, created_at);
CREATE INDEX fact_by_session ON fact (session) WHERE session IS NOT NULL;
CREATE INDEX fact_by_person ON fact (person) WHERE person IS NOT NULL;

-- That a fact is so no more: superseded by another, or forgotten. One row for each time, as a rewind may take it back.
CREATE TABLE fact_end (
  n          INTEGER PRIMARY KEY,
  fact       INTEGER NOT NULL,
  by_fact    INTEGER,
  session    INTEGER,
  turn       INTEGER,
  is_undone  INTEGER NOT NULL DEFAULT 0,
  ended_at   REAL    NOT NULL
) STRICT;
CREATE INDEX fact_end_by_fact ON fact_end (fact);
CREATE INDEX fact_end_by_session ON fact_end (session) WHERE session IS NOT NULL;
