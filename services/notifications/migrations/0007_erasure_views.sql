-- What `cartwright verify` reads to see that a deleted account is erased: that something is there, and not what
-- depends: 0006_verification

-- migrate: apply
CREATE VIEW verification.recipients AS
SELECT user_id, deleted, email <> '' OR name <> '' AS is_known
FROM recipients;
CREATE OR REPLACE VIEW verification.notifications AS
SELECT id, kind, subject_key, order_id, state, attempts, next_attempt_at, created_at, toaddr <> '' AS has_address,
       amounts, user_id, body <> '' OR event_data IS NOT NULL AS has_content
FROM notifications;

-- migrate: rollback
DROP VIEW verification.recipients;
DROP VIEW verification.notifications;
CREATE VIEW verification.notifications AS
SELECT id, kind, subject_key, order_id, state, attempts, next_attempt_at, created_at, toaddr <> '' AS has_address,
       amounts
FROM notifications;
