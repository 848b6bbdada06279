-- Heads of the chain, signed with a key that is not in this database (audit.signed_heads)
-- depends: 0003_verification

-- migrate: apply
-- `statement` is the signature with all that it signs: a JWS (RFC 7515). `position` is copied out of it, to be found by.
CREATE TABLE signed_heads (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position  bigint NOT NULL,
    statement text   NOT NULL
);
CREATE INDEX signed_heads_by_position ON signed_heads (position);
COMMENT ON TABLE signed_heads IS 'append-only: what was signed stays signed';

CREATE VIEW verification.signed_heads AS
SELECT id, position, statement
FROM signed_heads;

-- migrate: rollback
DROP VIEW verification.signed_heads;
DROP TABLE signed_heads;
