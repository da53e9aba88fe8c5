-- The search for members uses text search on users. Nothing else has to be kept.
DROP TRIGGER index_member ON memberships;
DROP TRIGGER index_user ON users;
DROP FUNCTION index_member(), index_user();
DROP TABLE member_words;
ALTER TABLE users DROP words;
DROP FUNCTION search_words(text, text, text, text);

-- search_words returns the words of a text in lower case, at most 100 characters
-- each. White space of Unicode separates words. NFKC makes a space of a no-break
-- space, and one letter of e and its accent. Both forms of a sigma are the same.
-- The collation covers the letters of every language, in any locale of the
-- database.
DO $$
DECLARE
    collation_name name := coalesce((
        SELECT collname FROM pg_collation
        WHERE collname IN ('und-x-icu', 'pg_c_utf8', 'C.UTF-8', 'C.utf8', 'en_US.UTF-8', 'en_US.utf8')
            AND collnamespace = 'pg_catalog'::regnamespace
            AND collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding()))
        ORDER BY collname <> 'und-x-icu', collname <> 'pg_c_utf8', collname LIMIT 1
    ), 'default');
BEGIN
    EXECUTE format($create$
        CREATE FUNCTION search_words(names text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
            SELECT coalesce(array_agg(DISTINCT left(word, 100)), '{}')
            FROM unnest(string_to_array(translate(
                lower(normalize($1, NFKC) COLLATE pg_catalog.%I),
                E'ς\t\n\u000B\f\r\u0085\u1680\u2028\u2029', 'σ         '), ' ')) AS word
            WHERE word <> ''
        $function$
    $create$, collation_name);
END
$$;

-- search_query returns the search for all users who have, for each word of a text,
-- one that begins with it.
CREATE FUNCTION search_query(begins text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg('''' || replace(replace(word, '\', '\\'), '''', '''''') || ''':*', ' & ')::tsquery
    FROM unnest(search_words($1)) AS word
$$;

ALTER TABLE users ADD words tsvector NOT NULL GENERATED ALWAYS AS (
    array_to_tsvector(search_words(primary_email || ' ' || username || ' ' || first_name || ' ' || last_name))
) STORED;

CREATE INDEX users_words ON users USING gin (words) WITH (fastupdate = off) WHERE deleted_at IS NULL;

-- What Clerk calls a member by: the email address, or what the user has instead,
-- such as a phone number.
ALTER TABLE memberships ADD identifier text NOT NULL DEFAULT '';

-- Followers read the events of some transactions, page by page.
DROP INDEX events_transaction;
CREATE INDEX events_transaction ON events (transaction, seq);
