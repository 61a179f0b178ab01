-- What the requests that come with a key send where nothing else says so (`core.accounts.HistoryMode`).
ALTER TABLE api_key ADD COLUMN history TEXT NOT NULL DEFAULT 'auto';
