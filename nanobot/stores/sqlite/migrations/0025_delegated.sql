-- Sessions in which a turn of another session had a part of its work done: they go when that one goes. `parent`: its number.
ALTER TABLE session ADD COLUMN parent INTEGER;
CREATE INDEX session_parent ON session (parent) WHERE parent IS NOT NULL;
