-- The Idempotency-Key of a refund belongs to the administrator who sent it
-- depends: 0002_journal_numbers

-- migrate: apply
ALTER TABLE refunds ADD COLUMN requested_by uuid;
ALTER TABLE refunds ADD UNIQUE (payment_id, requested_by, idempotency_key);
ALTER TABLE refunds DROP CONSTRAINT refunds_payment_id_idempotency_key_key;

-- migrate: rollback
ALTER TABLE refunds ADD UNIQUE (payment_id, idempotency_key);
ALTER TABLE refunds DROP COLUMN requested_by;
