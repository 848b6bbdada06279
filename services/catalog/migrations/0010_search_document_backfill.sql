-- The position of the backfill of search documents, so that a start does not search all products for missing ones.
-- depends: 0009_no_product_trigrams

-- migrate: apply

-- One row. Products up to `last_product_id` have a document, and all products once `completed_at` is set: since 0008
-- triggers keep the document of each product that is written.
CREATE TABLE search_document_backfill (
    last_product_id uuid        NOT NULL,
    completed_at    timestamptz
);
-- A document belongs to one product, so equal counts mean that none is missing. The tables are counted once, here.
INSERT INTO search_document_backfill (last_product_id, completed_at)
SELECT
    '00000000-0000-0000-0000-000000000000',
    CASE WHEN (SELECT count(*) FROM products) = (SELECT count(*) FROM search_documents) THEN now() END;

-- migrate: rollback
DROP TABLE search_document_backfill;
