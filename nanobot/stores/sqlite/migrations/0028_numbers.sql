-- The largest numbers of rows that are gone. SQLite gives the number of a deleted row again where it was the largest one, and
-- what was begun for that row, or still names it, would then be taken for the next one's.
CREATE TABLE gone_number (
  session  INTEGER NOT NULL,
  turn     INTEGER NOT NULL,
  fact     INTEGER NOT NULL,
  approval INTEGER NOT NULL
) STRICT;
INSERT INTO gone_number SELECT
  0,
  (SELECT coalesce(max(turn), 0) FROM fact),
  0,
  (SELECT coalesce(max(approval), 0) FROM approval_rule);

CREATE TRIGGER session_number_goes AFTER DELETE ON session BEGIN
  UPDATE gone_number SET session = old.id WHERE session < old.id;
END;
CREATE TRIGGER turn_number_goes AFTER DELETE ON turn BEGIN
  UPDATE gone_number SET turn = old.n WHERE turn < old.n;
END;
CREATE TRIGGER fact_number_goes AFTER DELETE ON fact BEGIN
  UPDATE gone_number SET fact = old.n WHERE fact < old.n;
END;
CREATE TRIGGER approval_number_goes AFTER DELETE ON approval BEGIN
  UPDATE gone_number SET approval = old.n WHERE approval < old.n;
END;
