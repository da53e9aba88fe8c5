-- One row: the Clerk instance that the data belong to.
CREATE TABLE clerk_instance (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id       text NOT NULL -- Clerk's, ins_…
);

-- A row with deleted_at and hidden_at is hidden: a reconciliation found it
-- missing at Clerk. It is as good as deleted, but its data and its user's
-- settings stay, until Clerk lists it again or a later reconciliation erases it.
ALTER TABLE users ADD hidden_at timestamptz CHECK (hidden_at IS NULL OR deleted_at IS NOT NULL);
ALTER TABLE organizations ADD hidden_at timestamptz CHECK (hidden_at IS NULL OR deleted_at IS NOT NULL);
ALTER TABLE memberships ADD hidden_at timestamptz CHECK (hidden_at IS NULL OR deleted_at IS NOT NULL);

CREATE INDEX users_hidden_at ON users (hidden_at) WHERE hidden_at IS NOT NULL;
CREATE INDEX organizations_hidden_at ON organizations (hidden_at) WHERE hidden_at IS NOT NULL;
CREATE INDEX memberships_hidden_at ON memberships (hidden_at) WHERE hidden_at IS NOT NULL;

-- The rows that the reconciliation in progress did not find in Clerk's lists.
CREATE TABLE missing (
    kind text NOT NULL, -- the table
    id   text NOT NULL,
    PRIMARY KEY (kind, id)
);

-- The progress of an unfinished reconciliation of the previous version has other
-- steps. The next one begins at the beginning.
DELETE FROM reconciliation;
