-- The actor of each event, of the request or event that last set a payment's pending action, and of each refund
-- depends: 0003_refund_keys

-- migrate: apply
ALTER TABLE journal ADD COLUMN actor text DEFAULT 'unknown';
ALTER TABLE payments ADD COLUMN actor text DEFAULT 'unknown';
ALTER TABLE refunds ADD COLUMN actor text DEFAULT 'unknown';

-- migrate: rollback
ALTER TABLE refunds DROP COLUMN actor;
ALTER TABLE payments DROP COLUMN actor;
ALTER TABLE journal DROP COLUMN actor;
