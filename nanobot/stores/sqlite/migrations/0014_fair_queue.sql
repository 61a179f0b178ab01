-- Turns that have not ended, in the order of their session. `payer`: the API key that pays, '' for none; `round`:
-- how many turns of the session were ahead when it was put here; turns that wait are started by `rank`.
CREATE TABLE queued (
  session     INTEGER NOT NULL,
  position    INTEGER NOT NULL,
  turn        INTEGER NOT NULL,
  owner       TEXT,
  lease_until REAL,
  payer       TEXT    NOT NULL,
  round       INTEGER NOT NULL,
  rank        INTEGER NOT NULL,
  plan        BLOB,
  PRIMARY KEY (session, position)
) WITHOUT ROWID, STRICT;

INSERT INTO queued (session, position, turn, owner, lease_until, payer, round, rank, plan)
  SELECT d.session, d.position, d.turn, d.owner, d.lease_until,
         coalesce(json_extract(CAST(t.body AS TEXT), '$.key_id'), ''), 0, d.position, d.plan
    FROM dispatch d JOIN turn t ON t.n = d.turn;

DROP TABLE dispatch;
ALTER TABLE queued RENAME TO dispatch;
CREATE INDEX dispatch_by_owner ON dispatch (owner) WHERE owner IS NOT NULL;
-- The owner is in them although it is known: what it is asked for in is answered from the index alone.
CREATE INDEX dispatch_by_rank ON dispatch (owner, rank) WHERE owner IS NULL;
CREATE INDEX dispatch_by_payer ON dispatch (owner, payer, round, rank) WHERE owner IS NULL;
