-- The words that products' names are made of: by them a search finds what was misspelt. docs/decisions/0015.
-- depends: 0001_first

-- migrate: apply

-- The distinct words of a text, in small letters.
CREATE FUNCTION words_of(written text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT word
    FROM regexp_split_to_table(lower(written), '[^[:alnum:]]+') AS word
    WHERE word <> ''
$$;

-- The distinct groups of three letters of a word, which counts with two blanks before it and one after, as in pg_trgm.
CREATE FUNCTION trigrams_of(word text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(DISTINCT substr('  ' || word || ' ', at, 3))
    FROM generate_series(1, length(word) + 1) AS at
$$;

-- Words are never removed: one that no product has any more finds nothing, and does no harm.
CREATE TABLE words (
    word     text   PRIMARY KEY,
    trigrams text[] NOT NULL GENERATED ALWAYS AS (trigrams_of(word)) STORED
);
CREATE INDEX words_trigrams ON words USING gin (trigrams);

-- Words with digits are left out: they are sizes and models, of which there are more with every product, and a similar
-- one is another thing. In the order of the words, so that no two transactions wait for each other.
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
-- Triggers, since replicas of the version before this one write products, too, for as long as an upgrade takes.
CREATE TRIGGER keep_words_of_new_products AFTER INSERT ON products
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_words();
CREATE TRIGGER keep_words_of_changed_products AFTER UPDATE ON products
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION keep_words();

-- Since there are triggers, nobody else writes products until the commit, so none is missed.
INSERT INTO words (word)
SELECT DISTINCT word
FROM products
CROSS JOIN LATERAL words_of(products.name) AS word
WHERE products.deleted_at IS NULL
  AND word ~ '^[[:alpha:]]{3,}$';

-- `products.trigrams` and its index stay as they are, for the version before this one: to change them now would have
-- readers wait, purchases among them, and writers for each other. A later migration drops both.

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
