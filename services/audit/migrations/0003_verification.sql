-- What `cartwright verify` may read: these views and nothing else, without secrets, addresses and contents (chassis.persistence.privileges)
-- depends: 0002_actors

-- migrate: apply
CREATE SCHEMA verification;

CREATE VIEW verification.inbox AS
SELECT event_id
FROM inbox;
CREATE VIEW verification.dead_letters AS
SELECT event_id, type, reason, attempts
FROM dead_letters;

-- `content_hash` is what the hash has to be; `is_found_by_envelope`, whether the entry is found by what its envelope says.
CREATE VIEW verification.entries AS
SELECT position, event_id, type, source, subject, correlation_id, actor, event_time, recorded_at, previous_hash, hash,
       sha256(previous_hash || int8send(position) || uuid_send(event_id) || convert_to(envelope, 'UTF8'))
           AS content_hash,
       envelope IS JSON OBJECT AS is_event,
       CASE WHEN envelope IS JSON OBJECT
            THEN (lower(envelope::json ->> 'id'), envelope::json ->> 'type', envelope::json ->> 'source',
                  envelope::json ->> 'subject', envelope::json ->> 'correlationid')
                 IS NOT DISTINCT FROM (event_id::text, type, source, subject, correlation_id)
            ELSE false
       END AS is_found_by_envelope,
       CASE WHEN envelope IS JSON OBJECT THEN envelope::json ->> 'sequence' END AS sequence,
       CASE WHEN envelope IS JSON OBJECT THEN md5((envelope::json -> 'data')::text) END AS data_md5,
       CASE WHEN type = 'user.roles_changed' AND envelope IS JSON OBJECT
            THEN (envelope::json #> '{data,roles}')::jsonb
       END AS roles
FROM entries;
CREATE VIEW verification.chain_head AS
SELECT position, hash
FROM chain_head;
COMMENT ON TABLE entries IS 'append-only: the record of what happened';

-- migrate: rollback
DROP SCHEMA verification CASCADE;
