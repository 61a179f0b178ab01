-- Messages of which the search index has some slices: those from number `first` up to before `after`; NULL: up to the last one.
CREATE TABLE half_indexed (
  message INTEGER PRIMARY KEY,
  first   INTEGER NOT NULL,
  after   INTEGER
) STRICT;
