-- Tables whose rows can be large are made anew, with what is large in the last column: to read the others, its pages are
-- not walked. The rows move in pieces, before the next migration (`stores/sqlite/moving.py`).

-- A message's id is session << 32 | seq, so that the messages of a session lie together. `tokens` sums estimates from the
-- conversation's start; `is_input`: a client sent it; `digest`: of what a client holds as this reply.
DROP INDEX message_by_digest;
ALTER TABLE message RENAME TO old_message;
CREATE TABLE message (
  id         INTEGER PRIMARY KEY,
  session    INTEGER NOT NULL,
  turn       INTEGER,
  is_input   INTEGER NOT NULL,
  tokens     INTEGER NOT NULL,
  digest     BLOB,
  created_at REAL    NOT NULL,
  body       BLOB    NOT NULL
) STRICT;
CREATE INDEX message_by_digest ON message (session, digest) WHERE digest IS NOT NULL;

-- `body` is the `Turn` without its input. `attempt` is the fence, `lost` counts attempts that a crash ended, `added` the
-- messages that the turn added, `joined_to` names the turn that it steered, `counted` is what an earlier end of it was charged.
DROP INDEX turn_by_digest;
DROP INDEX turn_by_target;
DROP INDEX turn_by_dedupe_key;
ALTER TABLE turn RENAME TO old_turn;
CREATE TABLE turn (
  n          INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL UNIQUE,
  session    INTEGER NOT NULL,
  status     TEXT    NOT NULL,
  attempt    INTEGER NOT NULL DEFAULT 0,
  lost       INTEGER NOT NULL DEFAULT 0,
  added      INTEGER NOT NULL DEFAULT 0,
  digest     BLOB    NOT NULL,
  dedupe_key TEXT,
  base_tip   INTEGER,
  first_seq  INTEGER,
  last_seq   INTEGER,
  joined_to  INTEGER,
  created_at REAL    NOT NULL,
  started_at REAL,
  ended_at   REAL,
  counted    BLOB,
  outcome    BLOB,
  body       BLOB    NOT NULL
) STRICT;
CREATE INDEX turn_by_digest ON turn (session, digest);
CREATE INDEX turn_by_target ON turn (joined_to) WHERE joined_to IS NOT NULL;
CREATE UNIQUE INDEX turn_by_dedupe_key ON turn (session, dedupe_key) WHERE dedupe_key IS NOT NULL;

-- Turns that came as responses, by the digest by which a resend that names no conversation finds its own; the rest is
-- in the turn.
DROP INDEX response_by_digest;
ALTER TABLE response RENAME TO old_response;
CREATE TABLE response (
  turn   INTEGER PRIMARY KEY,
  digest BLOB    NOT NULL
) STRICT;
CREATE INDEX response_by_digest ON response (digest);

-- Turns that have not ended, in order of dispatch: one that is taken up again comes anew behind those that came meanwhile.
-- `owner` runs the turn, and loses it at `lease_until` (NULL: never); no owner: it waits. `plan`: what goes into the transcript when the turn starts.
DROP INDEX dispatch_by_session;
DROP INDEX dispatch_running;
ALTER TABLE dispatch RENAME TO old_dispatch;
CREATE TABLE dispatch (
  position    INTEGER PRIMARY KEY,
  turn        INTEGER NOT NULL UNIQUE,
  session     INTEGER NOT NULL,
  owner       TEXT,
  lease_until REAL,
  plan        BLOB
) STRICT;
CREATE INDEX dispatch_by_session ON dispatch (session, position);
CREATE INDEX dispatch_by_owner ON dispatch (owner) WHERE owner IS NOT NULL;
INSERT INTO dispatch (position, turn, session, owner, plan)
  SELECT position, turn, session, iif(running, 'local', NULL), plan FROM old_dispatch;
DROP TABLE old_dispatch;
