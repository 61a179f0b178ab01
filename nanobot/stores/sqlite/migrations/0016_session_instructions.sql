-- What a session has the agent told besides the settings.
ALTER TABLE session ADD COLUMN instructions TEXT;
