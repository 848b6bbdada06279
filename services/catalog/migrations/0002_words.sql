-- The words of the names of products, by which a search corrects misspelled words: docs/decisions/0015.
-- depends: 0001_first

-- migrate: apply

-- The distinct words of a text, in lower case.
CREATE FUNCTION words_of(written text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT word
    FROM regexp_split_to_table(lower(written), '[^[:alnum:]]+') AS word
    WHERE word <> ''
$$;

-- The distinct trigrams of a word with two blanks before it and one after it, as in pg_trgm.
CREATE FUNCTION trigrams_of(word text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(DISTINCT substr('  ' || word || ' ', at, 3))
    FROM generate_series(1, length(word) + 1) AS at
$$;

-- Words are never removed: a word that no product has any more finds nothing.
CREATE TABLE words (
    word     text   PRIMARY KEY,
    trigrams text[] NOT NULL GENERATED ALWAYS AS (trigrams_of(word)) STORED
);
CREATE INDEX words_trigrams ON words USING gin (trigrams);

-- Words with digits are left out: they are sizes and models, and a similar one is another product. The order of the
-- words keeps concurrent transactions from deadlocks.
CREATE FUNCTION keep_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO words (word)
    SELECT DISTINCT word
    FROM written
    CROSS JOIN LATERAL words_of(written.name) AS word
    WHERE word ~ '^[[:alpha:]]{3,}$'
    ORDER BY word
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
-- Triggers, since replicas of the version before write products during an upgrade.
CREATE TRIGGER keep_words_of_new_products AFTER INSERT ON products
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_words();
CREATE TRIGGER keep_words_of_changed_products AFTER UPDATE ON products
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_words();

-- The creation of the triggers has locked `products` against writes until the commit, so no product is missed.
INSERT INTO words (word)
SELECT DISTINCT word
FROM products
CROSS JOIN LATERAL words_of(products.name) AS word
WHERE products.deleted_at IS NULL
  AND word ~ '^[[:alpha:]]{3,}$';

-- `products.trigrams` and its index stay for the version before. Migration 0009 drops both.

-- migrate: rollback
DROP TRIGGER keep_words_of_new_products ON products;
DROP TRIGGER keep_words_of_changed_products ON products;
UPDATE products
SET trigrams = ARRAY(
    SELECT DISTINCT trigram
    FROM words_of(products.name || ' ' || products.sku) AS word, unnest(trigrams_of(word)) AS trigram
    ORDER BY trigram
);
DROP FUNCTION keep_words();
DROP TABLE words;
DROP FUNCTION trigrams_of(text);
DROP FUNCTION words_of(text);
