-- Stretches of messages that no reader sees: of a long list that is still being taken in (`coming`), that was taken in for
-- a turn without a trace (`kept`), or that nobody waits for any more (`left`; deleted a piece at a time, and the session
-- with them where it was `made` for them).
CREATE TABLE unseen (
  session   INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq  INTEGER NOT NULL,
  state     TEXT    NOT NULL,
  made      INTEGER NOT NULL,
  PRIMARY KEY (session, first_seq)
) WITHOUT ROWID, STRICT;
CREATE INDEX unseen_by_state ON unseen (state) WHERE state <> 'kept';
