-- What a tool asks a person in the middle of a call is answered as an approval is. `question`: what it asks, as JSON;
-- `content`: what was answered. `digest`: of the description and the schema that the tool had when it was asked about:
-- what was agreed to holds for no other tool of that name. Rules from before it was kept count for tools of ours only.
ALTER TABLE approval ADD COLUMN digest TEXT NOT NULL DEFAULT '';
ALTER TABLE approval ADD COLUMN question TEXT;
ALTER TABLE approval ADD COLUMN content TEXT;
ALTER TABLE approval_rule ADD COLUMN digest TEXT NOT NULL DEFAULT '';
