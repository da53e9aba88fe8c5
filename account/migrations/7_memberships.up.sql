-- The instances of the application follow the changes of memberships, to end the open
-- connections of users whose role is another now.
ALTER TABLE events ADD COLUMN membership_id text;
