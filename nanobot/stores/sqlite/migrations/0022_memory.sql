-- Conversations of other programs that a session has taken in: what the program calls them, and the time of the last of
-- their messages that was taken, so that none is taken twice.
CREATE TABLE imported (
  session INTEGER NOT NULL,
  program TEXT    NOT NULL,
  item    TEXT    NOT NULL,
  until   REAL    NOT NULL,
  PRIMARY KEY (session, program, item)
) STRICT, WITHOUT ROWID;

-- Up to which message the ended turns of a session were read for facts, and how many tokens that took on the day `day`
-- (of UTC, counted from 1970).
CREATE TABLE extraction (
  session  INTEGER PRIMARY KEY,
  last_seq INTEGER NOT NULL,
  day      INTEGER NOT NULL,
  tokens   INTEGER NOT NULL
) STRICT;
