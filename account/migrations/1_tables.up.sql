-- What belongs to Clerk: a copy that follows Clerk's own time. A row with
-- deleted_at is a tombstone. It holds nothing but the id, so that a late event
-- cannot bring the user back, and is never changed again.
CREATE TABLE users (
    id             text PRIMARY KEY, -- Clerk's, user_…
    primary_email  text NOT NULL DEFAULT '',
    email_verified boolean NOT NULL DEFAULT false,
    username       text NOT NULL DEFAULT '',
    first_name     text NOT NULL DEFAULT '',
    last_name      text NOT NULL DEFAULT '',
    external_id    text NOT NULL DEFAULT '', -- this application's own id, where Clerk was given one
    banned         boolean NOT NULL DEFAULT false,
    created_at     timestamptz, -- Clerk's clock
    updated_at     timestamptz, -- Clerk's clock; NULL until Clerk itself described the user
    said_at        timestamptz, -- Clerk's clock; the time of the last event that was stored
    deleted_at     timestamptz,
    stored_at      timestamptz NOT NULL DEFAULT clock_timestamp() -- this database's clock
);

-- Reconciliation walks along created_at and looks for rows that Clerk has not
-- described yet.
CREATE INDEX users_created_at ON users (created_at) WHERE deleted_at IS NULL;
CREATE INDEX users_undescribed ON users (id) WHERE updated_at IS NULL AND deleted_at IS NULL;

-- Searches are for the beginning of a word, in any case.
CREATE INDEX users_primary_email ON users (lower(primary_email) text_pattern_ops) WHERE deleted_at IS NULL;
CREATE INDEX users_username ON users (lower(username) text_pattern_ops) WHERE deleted_at IS NULL;
CREATE INDEX users_first_name ON users (lower(first_name) text_pattern_ops) WHERE deleted_at IS NULL;
CREATE INDEX users_last_name ON users (lower(last_name) text_pattern_ops) WHERE deleted_at IS NULL;

CREATE TABLE organizations (
    id         text PRIMARY KEY, -- Clerk's, org_…
    name       text NOT NULL DEFAULT '',
    slug       text NOT NULL DEFAULT '',
    members    integer NOT NULL DEFAULT 0, -- live rows of memberships
    created_at timestamptz,
    updated_at timestamptz,
    said_at    timestamptz,
    deleted_at timestamptz,
    stored_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX organizations_created_at ON organizations (created_at) WHERE deleted_at IS NULL;
CREATE INDEX organizations_undescribed ON organizations (id) WHERE updated_at IS NULL AND deleted_at IS NULL;

-- A user who leaves and joins again gets a new membership at Clerk. The
-- memberships of a deleted user or organization are removed: the tombstone of
-- either keeps them from coming back.
CREATE TABLE memberships (
    id              text PRIMARY KEY, -- Clerk's, orgmem_…
    organization_id text NOT NULL REFERENCES organizations,
    user_id         text NOT NULL REFERENCES users,
    role            text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    said_at         timestamptz,
    deleted_at      timestamptz,
    stored_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX memberships_live ON memberships (organization_id, user_id) WHERE deleted_at IS NULL;
CREATE INDEX memberships_user ON memberships (user_id);
CREATE INDEX memberships_pages ON memberships (organization_id, created_at, user_id) WHERE deleted_at IS NULL;
CREATE INDEX memberships_created_at ON memberships (created_at) WHERE deleted_at IS NULL;

-- What belongs to this application.
CREATE TABLE settings (
    user_id      text PRIMARY KEY REFERENCES users,
    version      integer NOT NULL, -- counts the changes, from 1
    display_name text NOT NULL,
    locale       text NOT NULL,
    time_zone    text NOT NULL,
    theme        text NOT NULL,
    stored_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What happened, without personal data. The id makes a repeated event harmless;
-- the instances of the application follow the rows to learn of users and
-- sessions that are refused. transaction tells a follower which rows may still
-- be on their way: seq is taken when a row is written, not when it is committed.
CREATE TABLE events (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text UNIQUE, -- Clerk's (svix-id); NULL where Clerk was asked
    type        text NOT NULL,
    user_id     text,
    session_id  text,
    at          timestamptz NOT NULL, -- Clerk's clock
    stored_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE INDEX events_transaction ON events (transaction);
CREATE INDEX events_stored_at ON events (stored_at);

-- One row: how far the last reconciliation with Clerk has come.
CREATE TABLE reconciliation (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    run         bigint NOT NULL, -- counts the starts, a resumed one included
    started_at  timestamptz NOT NULL,
    finished_at timestamptz, -- NULL while it is unfinished
    progress    jsonb NOT NULL
);
