-- Who did it: the actor of each event, and of the work that last wanted something of a payment or asked for a refund.
-- depends: 0003_refund_keys

-- migrate: apply
ALTER TABLE journal ADD COLUMN actor text DEFAULT 'unknown';
ALTER TABLE payments ADD COLUMN actor text DEFAULT 'unknown';
ALTER TABLE refunds ADD COLUMN actor text DEFAULT 'unknown';

-- migrate: rollback
ALTER TABLE refunds DROP COLUMN actor;
ALTER TABLE payments DROP COLUMN actor;
ALTER TABLE journal DROP COLUMN actor;
