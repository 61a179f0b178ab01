-- A conversation. `tip` is the last message of its live transcript, `last_seq` the highest number given out,
-- `tip_tokens` what has been said up to the tip.
CREATE TABLE session (
  id         INTEGER PRIMARY KEY,
  key        TEXT    NOT NULL UNIQUE,
  tip        INTEGER NOT NULL DEFAULT 0,
  last_seq   INTEGER NOT NULL DEFAULT 0,
  tip_tokens INTEGER NOT NULL DEFAULT 0,
  created_at REAL    NOT NULL,
  updated_at REAL    NOT NULL
) STRICT;
CREATE INDEX session_by_use ON session (updated_at, id);

-- Append-only. `tokens` sums estimates from the conversation's start; `is_input`: a client sent it, no turn made it;
-- `digest`: of what a client holds as this reply, to find the place in the transcript that it speaks of.
CREATE TABLE message (
  session    INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  turn       INTEGER,
  is_input   INTEGER NOT NULL,
  body       BLOB    NOT NULL,
  tokens     INTEGER NOT NULL,
  digest     BLOB,
  created_at REAL    NOT NULL,
  PRIMARY KEY (session, seq)
) WITHOUT ROWID, STRICT;
CREATE INDEX message_by_digest ON message (session, digest) WHERE digest IS NOT NULL;

-- From `first_seq` on (up to the next branch) the transcript hangs on `parent_seq` instead of on the number before.
CREATE TABLE branch (
  session    INTEGER NOT NULL,
  first_seq  INTEGER NOT NULL,
  parent_seq INTEGER NOT NULL,
  PRIMARY KEY (session, first_seq)
) WITHOUT ROWID, STRICT;

-- `attempt` is the fence, `lost` counts attempts that a crash ended, `made` the messages that it added, `joined_to` names the turn it steered.
CREATE TABLE turn (
  n          INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL UNIQUE,
  session    INTEGER NOT NULL,
  status     TEXT    NOT NULL,
  attempt    INTEGER NOT NULL DEFAULT 0,
  lost       INTEGER NOT NULL DEFAULT 0,
  made       INTEGER NOT NULL DEFAULT 0,
  wish       BLOB    NOT NULL,
  digest     BLOB    NOT NULL,
  dedupe_key TEXT,
  base_tip   INTEGER,
  first_seq  INTEGER,
  last_seq   INTEGER,
  joined_to  INTEGER,
  outcome    BLOB,
  created_at REAL    NOT NULL,
  started_at REAL,
  ended_at   REAL
) STRICT;
CREATE INDEX turn_by_digest ON turn (session, digest);
CREATE INDEX turn_by_target ON turn (joined_to) WHERE joined_to IS NOT NULL;
CREATE UNIQUE INDEX turn_by_dedupe_key ON turn (session, dedupe_key) WHERE dedupe_key IS NOT NULL;

-- Turns that have not ended, in order of dispatch: one that is taken up again comes anew behind those that came meanwhile.
-- `plan`: what goes into the transcript when the turn starts.
CREATE TABLE dispatch (
  position INTEGER PRIMARY KEY,
  turn     INTEGER NOT NULL UNIQUE,
  session  INTEGER NOT NULL,
  running  INTEGER NOT NULL,
  plan     BLOB
) STRICT;
CREATE INDEX dispatch_by_session ON dispatch (session, position);
CREATE INDEX dispatch_running ON dispatch (session) WHERE running = 1;

-- Inputs that wait to join a running turn.
CREATE TABLE steer (
  turn   INTEGER PRIMARY KEY,
  target INTEGER NOT NULL,
  input  BLOB    NOT NULL
) STRICT;
CREATE INDEX steer_by_target ON steer (target);

-- Tool calls that were started; the result is a message.
CREATE TABLE started_call (
  turn        INTEGER NOT NULL,
  call_id     TEXT    NOT NULL,
  is_finished INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (turn, call_id)
) WITHOUT ROWID, STRICT;
