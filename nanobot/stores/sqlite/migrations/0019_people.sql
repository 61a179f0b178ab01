-- Whom the key of a session, or of an upload, speaks of (`core/scopes.py`): `person`, and `group_name` where it is one of a
-- group. By the rules in `scope_rules`; the rows get theirs when the database is opened (`stores/sql/assigning.py`), and
-- again whenever the rules change. NULL: a session that nobody sees.
ALTER TABLE session ADD COLUMN person TEXT;
ALTER TABLE session ADD COLUMN group_name TEXT;
ALTER TABLE file ADD COLUMN person TEXT;
CREATE INDEX session_by_person ON session (person, group_name) WHERE person IS NOT NULL;
-- As `session_by_use`: of a large group those sessions are asked for that were used last.
CREATE INDEX session_by_group ON session (group_name, period) WHERE group_name IS NOT NULL;
CREATE INDEX file_by_person ON file (person) WHERE person IS NOT NULL;

-- `sessions` and `files`: up to which row theirs is by these rules.
CREATE TABLE scope_rules (
  fingerprint TEXT    NOT NULL,
  sessions    INTEGER NOT NULL,
  files       INTEGER NOT NULL,
  is_done     INTEGER NOT NULL
) STRICT;
INSERT INTO scope_rules VALUES ('', 0, 0, 0);

-- Accounts that are one person, `person` being one of them; a person's only account has no row.
CREATE TABLE person_link (
  name   TEXT PRIMARY KEY,
  person TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX person_link_by_person ON person_link (person);
-- `version` changes with every change to the links.
CREATE TABLE person_link_version (version INTEGER NOT NULL) STRICT;
INSERT INTO person_link_version VALUES (0);

-- Codes with which another account is linked to the person; of each only the hash is kept.
CREATE TABLE link_code (
  person     TEXT PRIMARY KEY,
  digest     BLOB NOT NULL,
  expires_at REAL NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX link_code_by_digest ON link_code (digest);
