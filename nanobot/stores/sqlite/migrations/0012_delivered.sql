-- Of each session the newest turn whose answer a client has received whole.
CREATE TABLE delivered (
  session INTEGER PRIMARY KEY,
  turn    INTEGER NOT NULL
) STRICT;
