-- What stands for the beginning of a transcript, up to the message `last_seq`, where the model sees no more of it.
-- `end_tokens` estimates what stands up to there, `messages` counts it. The newest one on the live line of messages
-- counts; the transcript stays as it is.
CREATE TABLE compaction (
  session    INTEGER NOT NULL,
  last_seq   INTEGER NOT NULL,
  end_tokens INTEGER NOT NULL,
  messages   INTEGER NOT NULL,
  created_at REAL    NOT NULL,
  body       BLOB    NOT NULL,
  PRIMARY KEY (session, last_seq)
) WITHOUT ROWID, STRICT;
