-- What the agent of a session keeps for its work: its plan, and the tools that it has found. A row for each change, with
-- the last message that it was made with: a rewind to before that takes it back.
CREATE TABLE agent_state (
  session INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  body    BLOB    NOT NULL,
  PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

-- Whether the session ever kept something: only then is it looked for.
ALTER TABLE session ADD COLUMN has_state INTEGER NOT NULL DEFAULT 0;
