-- An upload. Its content is `files/<id>` of the data directory. It belongs to a session key, whether or not there is a session yet.
CREATE TABLE file (
  n           INTEGER PRIMARY KEY,
  id          TEXT    NOT NULL UNIQUE,
  session_key TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  purpose     TEXT    NOT NULL,
  size_bytes  INTEGER NOT NULL,
  created_at  REAL    NOT NULL,
  expires_at  REAL
) STRICT;
CREATE INDEX file_by_session ON file (session_key, n);
CREATE INDEX file_by_expiry ON file (expires_at) WHERE expires_at IS NOT NULL;
