-- Drops the trigrams of products: since 0002 a search finds similar words in `words`, and nothing reads the column.
-- depends: 0008_search_documents

-- migrate: apply

-- No release has written the column, since there is none before this migration. A replica of an earlier commit that
-- still runs names it when it adds a product, and answers 500 to that until it is replaced. It sells, searches and
-- changes products as before. Both statements change the catalog alone; the lock on `products` lasts for an instant.
DROP INDEX products_trigrams;
ALTER TABLE products DROP COLUMN trigrams;

-- migrate: rollback
ALTER TABLE products ADD COLUMN trigrams text[] NOT NULL DEFAULT '{}';
ALTER TABLE products ALTER COLUMN trigrams DROP DEFAULT;
CREATE INDEX products_trigrams ON products USING gin (trigrams);
