-- The search for the members of an organization: what it costs depends on what it
-- finds, not on how many members or users there are.
DROP INDEX users_primary_email, users_username, users_first_name, users_last_name;

-- search_words returns the words by which a search finds a user: the email
-- address and the words of the names, in lower case, at most 100 characters each.
CREATE FUNCTION search_words(email text, username text, first_name text, last_name text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT left(word, 100)), '{}')
    FROM unnest(string_to_array(lower($1 || ' ' || $2 || ' ' || $3 || ' ' || $4), ' ')) AS word WHERE word <> ''
$$;

ALTER TABLE users ADD words text[] NOT NULL
    GENERATED ALWAYS AS (search_words(primary_email, username, first_name, last_name)) STORED;

-- The words of each live member, for each organization. Only the triggers below
-- write to it. It is in byte order, where all that begins with a word lies
-- together.
CREATE TABLE member_words (
    organization_id text NOT NULL,
    word            text COLLATE "C" NOT NULL,
    user_id         text NOT NULL,
    PRIMARY KEY (organization_id, word, user_id)
);

CREATE INDEX member_words_user ON member_words (user_id, organization_id, word);

-- Whoever changes a membership has locked the user: words and memberships do not
-- change at once.
CREATE FUNCTION index_member() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    m memberships%ROWTYPE;
BEGIN
    IF TG_OP = 'DELETE' THEN m := OLD; ELSE m := NEW; END IF;
    DELETE FROM member_words WHERE user_id = m.user_id AND organization_id = m.organization_id;
    INSERT INTO member_words (organization_id, word, user_id)
        SELECT organization_id, unnest(words), user_id FROM memberships JOIN users ON users.id = user_id
        WHERE user_id = m.user_id AND organization_id = m.organization_id AND memberships.deleted_at IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER index_member AFTER INSERT OR DELETE OR UPDATE OF deleted_at ON memberships
    FOR EACH ROW EXECUTE FUNCTION index_member();

CREATE FUNCTION index_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM member_words WHERE user_id = NEW.id;
    INSERT INTO member_words (organization_id, word, user_id)
        SELECT organization_id, unnest(NEW.words), user_id FROM memberships
        WHERE user_id = NEW.id AND deleted_at IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER index_user AFTER UPDATE OF primary_email, username, first_name, last_name ON users
    FOR EACH ROW WHEN (OLD.words <> NEW.words) EXECUTE FUNCTION index_user();

INSERT INTO member_words (organization_id, word, user_id)
    SELECT organization_id, unnest(words), user_id FROM memberships JOIN users ON users.id = user_id
    WHERE memberships.deleted_at IS NULL;
