-- Turns that came as responses. `echo`: what is shown of the request, NULL where the response is not to be found again;
-- `detached`: nobody has to follow it; `digest`: by which a resend that names no conversation finds its own.
CREATE TABLE response (
  turn     INTEGER PRIMARY KEY,
  echo     BLOB,
  detached INTEGER NOT NULL,
  digest   BLOB    NOT NULL
) STRICT;
CREATE INDEX response_by_digest ON response (digest);
