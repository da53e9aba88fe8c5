-- The instances of the application end the open connections of the members of an
-- organization that was deleted.
ALTER TABLE events ADD COLUMN organization_id text;
