-- What these indexes answered is kept in memory (`stores/sqlite/derived.py`).
DROP INDEX session_to_index;
DROP INDEX dispatch_by_owner;

-- `period`: the five minutes of `updated_at` (`stores/sql/transcript.py`). The list of sessions is sorted within them when it
-- is read, so that a turn writes to the index once in five minutes.
DROP INDEX session_by_use;
ALTER TABLE session ADD COLUMN period INTEGER NOT NULL DEFAULT 0;
UPDATE session SET period = CAST(updated_at / 300 AS INTEGER);
CREATE INDEX session_by_use ON session (period);

-- What was used on a day of UTC: by the turns of a session for an API key ('': for none), and, in rows of session 0, by all
-- turns of a key that are counted in no other row, or in one that `is_summed`. `cost`: micro-dollars of the turns whose price
-- is known, `unpriced` counts the others.
CREATE TABLE usage (
  session    INTEGER NOT NULL,
  day        TEXT    NOT NULL,
  key_id     TEXT    NOT NULL,
  model      TEXT    NOT NULL,
  is_summed  INTEGER NOT NULL,
  turns      INTEGER NOT NULL,
  steps      INTEGER NOT NULL,
  prompt     INTEGER NOT NULL,
  completion INTEGER NOT NULL,
  cached     INTEGER NOT NULL,
  reasoning  INTEGER NOT NULL,
  cost       INTEGER NOT NULL,
  unpriced   INTEGER NOT NULL,
  PRIMARY KEY (session, day, key_id, model, is_summed)
) WITHOUT ROWID, STRICT;
INSERT INTO usage
  SELECT 0, day, key_id, model, 0, turns, steps, prompt, completion, cached, reasoning, cost, unpriced FROM key_usage;
INSERT INTO usage
  SELECT session, day, '', model, 1, turns, steps, prompt, completion, cached, reasoning, cost, unpriced FROM session_usage;
DROP TABLE key_usage;
DROP TABLE session_usage;
CREATE INDEX usage_by_day ON usage (is_summed, day) WHERE session <> 0;
