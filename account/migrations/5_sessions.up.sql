-- An instance that starts reads the sessions that ended within a day.
CREATE INDEX events_session_id ON events (stored_at) WHERE session_id IS NOT NULL;
