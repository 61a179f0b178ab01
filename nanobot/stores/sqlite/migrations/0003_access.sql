-- API keys; `digest` is all that is left of a key. A key that is revoked stays, so that its id can be told from that of another.
CREATE TABLE api_key (
  n           INTEGER PRIMARY KEY,
  id          TEXT    NOT NULL UNIQUE,
  name        TEXT    NOT NULL,
  digest      BLOB    NOT NULL UNIQUE,
  rights      TEXT    NOT NULL,
  patterns    TEXT    NOT NULL,
  session_key TEXT,
  quota       TEXT    NOT NULL,
  created_at  REAL    NOT NULL,
  expires_at  REAL,
  revoked_at  REAL
) STRICT;
CREATE UNIQUE INDEX api_key_by_name ON api_key (name) WHERE revoked_at IS NULL;

-- What was used on a day of UTC by an API key ('': without one). It names no session, and stays when sessions go.
-- `cost`: micro-dollars of the turns whose price is known, `unpriced` counts the others.
CREATE TABLE key_usage (
  day        TEXT    NOT NULL,
  key_id     TEXT    NOT NULL,
  model      TEXT    NOT NULL,
  turns      INTEGER NOT NULL,
  steps      INTEGER NOT NULL,
  prompt     INTEGER NOT NULL,
  completion INTEGER NOT NULL,
  cached     INTEGER NOT NULL,
  reasoning  INTEGER NOT NULL,
  cost       INTEGER NOT NULL,
  unpriced   INTEGER NOT NULL,
  PRIMARY KEY (day, key_id, model)
) WITHOUT ROWID, STRICT;

CREATE TABLE session_usage (
  session    INTEGER NOT NULL,
  day        TEXT    NOT NULL,
  model      TEXT    NOT NULL,
  turns      INTEGER NOT NULL,
  steps      INTEGER NOT NULL,
  prompt     INTEGER NOT NULL,
  completion INTEGER NOT NULL,
  cached     INTEGER NOT NULL,
  reasoning  INTEGER NOT NULL,
  cost       INTEGER NOT NULL,
  unpriced   INTEGER NOT NULL,
  PRIMARY KEY (session, day, model)
) WITHOUT ROWID, STRICT;
CREATE INDEX session_usage_by_day ON session_usage (day);

-- What was accounted for of a turn that failed and was taken up again.
ALTER TABLE turn ADD COLUMN counted BLOB;
