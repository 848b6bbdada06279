-- Converts prices in currencies whose minor unit is not a hundredth, as was assumed: docs/decisions/0028.
-- depends: 0003_journal_numbers

-- migrate: apply

-- A price keeps its amount: 5000.00 UGX becomes 5000 UGX. A fraction below the minor unit is rounded.
UPDATE products
SET price_minor = greatest(1, least(999999999999999, round(products.price_minor * unit.factor)))::bigint
FROM (
    VALUES
        ('BIF', 0.01), ('DJF', 0.01), ('GNF', 0.01), ('KMF', 0.01), ('PYG', 0.01), ('RWF', 0.01), ('UGX', 0.01),
        ('UYI', 0.01), ('VUV', 0.01), ('XAF', 0.01), ('XOF', 0.01), ('XPF', 0.01), ('IQD', 10), ('LYD', 10),
        ('CLF', 100), ('UYW', 100)
) AS unit (currency, factor)
WHERE products.currency = unit.currency;

-- migrate: rollback
UPDATE products
SET price_minor = greatest(1, least(999999999999999, round(products.price_minor / unit.factor)))::bigint
FROM (
    VALUES
        ('BIF', 0.01), ('DJF', 0.01), ('GNF', 0.01), ('KMF', 0.01), ('PYG', 0.01), ('RWF', 0.01), ('UGX', 0.01),
        ('UYI', 0.01), ('VUV', 0.01), ('XAF', 0.01), ('XOF', 0.01), ('XPF', 0.01), ('IQD', 10), ('LYD', 10),
        ('CLF', 100), ('UYW', 100)
) AS unit (currency, factor)
WHERE products.currency = unit.currency;
