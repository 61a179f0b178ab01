-- `digest` of a message that clients can hold (their inputs, and of each turn one reply, at its last message) stands for
-- all that they hold once they have it: 4 bytes of depth, 8 of a hash (`core/visible.py`). `place`: the digest of those who
-- hold the whole live transcript. Old rows get theirs before the next migration, in the order of their ids, up to
-- `placed.id` so far (`stores/sqlite/placing.py`).
DROP INDEX message_by_digest;
ALTER TABLE session ADD COLUMN place BLOB NOT NULL DEFAULT x'000000000000000000000000';
CREATE TABLE placed (id INTEGER NOT NULL) STRICT;
INSERT INTO placed VALUES (0);
