-- Calls of tools that wait, or waited, for a person to agree to them. `used_by`: the turn that ran the call, or told
-- the model that it was not run.
CREATE TABLE approval (
  n          INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL UNIQUE,
  session    INTEGER NOT NULL,
  turn       INTEGER NOT NULL,
  call_id    TEXT    NOT NULL,
  tool       TEXT    NOT NULL,
  arguments  TEXT    NOT NULL,
  asker      TEXT,
  created_at REAL    NOT NULL,
  expires_at REAL    NOT NULL,
  state      TEXT    NOT NULL,
  answer     TEXT,
  decided_at REAL,
  decided_by TEXT,
  used_by    INTEGER
) STRICT;
CREATE INDEX approval_session ON approval (session, n);
CREATE INDEX approval_expiry ON approval (expires_at);

-- What was agreed to for longer, in one session or in all that a pattern matches. `approval`: where it was agreed to.
CREATE TABLE approval_rule (
  n          INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL UNIQUE,
  tool       TEXT    NOT NULL,
  session    INTEGER,
  pattern    TEXT,
  created_at REAL    NOT NULL,
  created_by TEXT    NOT NULL,
  approval   INTEGER NOT NULL
) STRICT;
CREATE INDEX approval_rule_tool ON approval_rule (tool, session);
