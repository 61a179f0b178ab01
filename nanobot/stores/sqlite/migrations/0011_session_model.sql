-- The preset that answers in the session where a request names none.
ALTER TABLE session ADD COLUMN model TEXT;
