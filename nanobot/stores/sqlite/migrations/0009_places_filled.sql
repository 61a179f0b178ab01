DROP TABLE placed;
CREATE INDEX message_by_digest ON message (session, digest) WHERE digest IS NOT NULL;
