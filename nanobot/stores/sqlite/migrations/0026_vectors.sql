-- What tells how much texts have in common in meaning, where that is switched on; made in the background. Of a message:
-- 384 bytes for each piece of its text. `kind`: 0 a statement of a user, 1 a question, 2 what the assistant said.
CREATE TABLE vector (
  id   INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  body BLOB    NOT NULL
) STRICT;
CREATE TABLE fact_vector (
  n    INTEGER PRIMARY KEY,
  body BLOB    NOT NULL
) STRICT;

-- Up to which message a session has its vectors.
CREATE TABLE embedding (
  session  INTEGER PRIMARY KEY,
  last_seq INTEGER NOT NULL
) STRICT;

-- What made them. `deletions`: who keeps vectors in memory reads them anew where it has changed.
CREATE TABLE vector_state (
  version   TEXT    NOT NULL,
  deletions INTEGER NOT NULL
) STRICT;
INSERT INTO vector_state VALUES ('', 0);

-- Whatever deletes a message or a fact deletes its vectors with it.
CREATE TRIGGER message_vector_goes AFTER DELETE ON message BEGIN
  DELETE FROM vector WHERE id = old.id;
END;
CREATE TRIGGER fact_vector_goes AFTER DELETE ON fact BEGIN
  DELETE FROM fact_vector WHERE n = old.n;
END;
CREATE TRIGGER embedding_goes AFTER DELETE ON session BEGIN
  DELETE FROM embedding WHERE session = old.id;
END;
CREATE TRIGGER vectors_forgotten AFTER DELETE ON vector BEGIN
  UPDATE vector_state SET deletions = deletions + 1;
END;
