-- What stands for the first messages that a turn has added itself, where it was too long for the window while it ran.
-- `messages` counts them; the newest one counts. The transcript stays as it is.
CREATE TABLE step_summary (
  turn       INTEGER NOT NULL,
  messages   INTEGER NOT NULL,
  created_at REAL    NOT NULL,
  body       BLOB    NOT NULL,
  PRIMARY KEY (turn, messages)
) WITHOUT ROWID, STRICT;
