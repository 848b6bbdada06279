-- Search documents of products: the words of the language, and names in any script and spelling. docs/decisions/0027.
-- depends: 0007_verification

-- migrate: apply

-- Each function returns ASCII text early, since most names are ASCII, and the backfill of a large catalog has to be fast.
-- They are in plpgsql: PostgreSQL inlines SQL functions, and would evaluate an argument many times.

-- A text in NFKC, casefolded, without invisible characters. Texts that look the same have the same form.
CREATE FUNCTION folded(written text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(written) = length(written) THEN
        RETURN lower(written);
    END IF;
    RETURN normalize(casefold(normalize(regexp_replace(written, '[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]', '', 'g'), NFKC) COLLATE pg_unicode_fast), NFKC);
END
$$;

-- The text that is split into words. A trademark sign is not a part of the word before it.
CREATE FUNCTION searchable(written text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN folded(translate(written, '™℠', '  '));
END
$$;

-- The text without diacritics, as typed on a keyboard without them: `o` for `ø`.
CREATE FUNCTION plain_letters(folded text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(folded) = length(folded) THEN
        RETURN folded;
    END IF;
    folded := regexp_replace(normalize(folded, NFKD), '[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]', '', 'g');
    folded := replace(replace(replace(translate(folded, 'øłđðħıŧŋ', 'olddhitn'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
    RETURN normalize(folded, NFC);
END
$$;

-- The same, with two letters for those that have such a spelling: `ae` for `ä`, `aa` for `å`.
CREATE FUNCTION paired_letters(folded text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(folded) = length(folded) THEN
        RETURN folded;
    END IF;
    RETURN plain_letters(
        replace(replace(replace(replace(replace(folded, 'ä', 'ae'), 'ö', 'oe'), 'ü', 'ue'), 'å', 'aa'), 'ø', 'oe')
    );
END
$$;

-- The words of a text, in order. A run of a script without blanks is a word, and so is each sign that is neither a
-- letter nor punctuation.
CREATE FUNCTION pieces_of(letters text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(letters) = length(letters) THEN
        RETURN array_remove(regexp_split_to_array(letters, '[^0-9a-z]+'), '');
    END IF;
    letters := regexp_replace(
        letters COLLATE pg_unicode_fast,
        '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u303c\u3041-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+|[^[:alnum:][:space:][:punct:]\u0001-\u00a0\u0300-\u036f\u0900-\u0dff])',
        ' \1 ', 'g'
    );
    RETURN array_remove(regexp_split_to_array(
        letters COLLATE pg_unicode_fast,
        '[[:space:][:punct:]\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a0]+'
    ), '');
END
$$;

-- The lexemes of a word in a query. In a script without blanks, where no sign marks the begin of a word, these are all
-- pairs of adjacent characters.
CREATE FUNCTION lexemes_of(piece text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(piece) = length(piece) OR length(piece) = 1 OR piece !~ '^[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u303c\u3041-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]' THEN
        RETURN ARRAY['~' || left(piece, 200)];
    END IF;
    RETURN ARRAY(SELECT '~' || substr(piece, at, 2) FROM generate_series(1, length(piece) - 1) AS at);
END
$$;

-- A whole name as one lexeme, so that any name finds its product.
CREATE FUNCTION lexeme_of_whole(written text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '=' || md5(btrim(folded(written)))
$$;

-- A SKU reversed, so that a search for a prefix of it finds the tail of the SKU.
CREATE FUNCTION lexeme_of_tail(sku text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '<' || reverse(regexp_replace(lower(sku), '[^a-z0-9]', '', 'g'))
$$;

-- A lexeme, quoted for the text of a document or a query.
CREATE FUNCTION quoted_lexeme(lexeme text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || ''''
$$;

-- The lexemes of the name and the SKU of a product.
CREATE FUNCTION names_of(name text, sku text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    written  text := searchable(name);
    plain    text := plain_letters(written);
    paired   text := paired_letters(written);
    pieces   text[] := pieces_of(plain) || CASE WHEN paired <> plain THEN pieces_of(paired) END || pieces_of(lower(sku));
    lexemes  text[] := ARRAY[lexeme_of_whole(name), lexeme_of_tail(sku)];
    piece    text;
BEGIN
    FOREACH piece IN ARRAY pieces LOOP
        lexemes := lexemes || lexemes_of(piece);
        IF length(piece) > 1 AND lexemes_of(piece) <> ARRAY['~' || left(piece, 200)] THEN
            lexemes := lexemes || ARRAY(SELECT '~' || letter FROM regexp_split_to_table(piece, '') AS letter);
        END IF;
    END LOOP;
    RETURN (
        SELECT string_agg(quoted_lexeme(lexeme) || ':1A', ' ')
        FROM unnest(lexemes) AS lexeme
    )::tsvector;
END
$$;

-- In a table of its own, since a new column with a value would rewrite `products` under a lock.
CREATE TABLE search_documents (
    product_id uuid     PRIMARY KEY REFERENCES products (id),
    document   tsvector NOT NULL
);
CREATE INDEX search_documents_document ON search_documents USING gin (document);

-- The order of the ids keeps concurrent transactions from deadlocks.
CREATE FUNCTION keep_search_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_documents (product_id, document)
    SELECT written.id, written.search || names_of(written.name, written.sku)
    FROM written
    ORDER BY written.id
    ON CONFLICT (product_id) DO UPDATE SET document = excluded.document;
    RETURN NULL;
END
$$;
-- Triggers, since replicas of the version before write products during an upgrade. Existing products get their documents
-- page by page (workers/search_document_backfill.py): all at once takes a minute.
CREATE TRIGGER keep_search_documents_of_new_products AFTER INSERT ON products
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_search_documents();
CREATE TRIGGER keep_search_documents_of_changed_products AFTER UPDATE ON products
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_search_documents();

-- Two names of categories that look the same are the same. Of two existing ones, the older has the key, and the other is
-- found by its exact name alone.
ALTER TABLE categories ADD COLUMN key text;
CREATE UNIQUE INDEX categories_key ON categories (key);
UPDATE categories
SET key = folded(oldest.name)
FROM (
    SELECT DISTINCT ON (folded(name)) id, name
    FROM categories
    ORDER BY folded(name), created_at, id
) AS oldest
WHERE categories.id = oldest.id;
CREATE FUNCTION key_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.key := folded(NEW.name);
    RETURN NEW;
END
$$;
CREATE TRIGGER key_category BEFORE INSERT ON categories FOR EACH ROW EXECUTE FUNCTION key_category();

-- migrate: rollback
DROP TRIGGER key_category ON categories;
DROP FUNCTION key_category();
ALTER TABLE categories DROP COLUMN key;
DROP TRIGGER keep_search_documents_of_new_products ON products;
DROP TRIGGER keep_search_documents_of_changed_products ON products;
DROP FUNCTION keep_search_documents();
DROP TABLE search_documents;
DROP FUNCTION names_of(text, text);
DROP FUNCTION quoted_lexeme(text);
DROP FUNCTION lexeme_of_tail(text);
DROP FUNCTION lexeme_of_whole(text);
DROP FUNCTION searchable(text);
DROP FUNCTION lexemes_of(text);
DROP FUNCTION pieces_of(text);
DROP FUNCTION paired_letters(text);
DROP FUNCTION plain_letters(text);
DROP FUNCTION folded(text);
