-- A purchase as the five transactions that its answer waits for, one order at a time, with the rows that the product
-- writes in them, and each durable before the next begins. No network between services, no identity, no provider (nor the
-- record that the sandbox keeps in its place), no event told to anyone: what is left is what PostgreSQL can do at all. Each
-- transaction is one statement, so that none waits for a client between its beginning and its end; with BEGIN, two
-- statements and COMMIT it does half as many. (In strings a blank follows each colon before a word or number: pgbench
-- would take them for a variable.)
\set user random(1, 32)
\set product random(1, :products)

-- 1 Place the order.
WITH placed AS (
    INSERT INTO orders (
        id, user_id, customer_name, customer_email, lines, from_cart, answer_later,
        idempotency_key, fingerprint, correlation_id, traceparent, deadline_at, next_attempt_at
    )
    VALUES (
        uuidv7(), lpad(to_hex(:user::integer), 32, '0')::uuid, 'Ada Lovelace', 'ada-0123456789ab@example.com',
        format('[{"quantity": 1,"product_id":"%s"}]', lpad(to_hex(:product::integer), 32, '0'))::jsonb, false, false,
        gen_random_uuid()::text, '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
        gen_random_uuid()::text, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        now() + interval '900 s', now() + interval '5 s'
    )
    RETURNING id, user_id, correlation_id
), said AS (
    INSERT INTO orders_journal (event_id, type, subject, correlation_id, traceparent, data)
    SELECT
        uuidv7(), 'order.placed', id::text, correlation_id, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        format(
            '{"order_id":"%s","user_id":"%s","name":"Ada Lovelace","email":"ada-0123456789ab@example.com",'
            '"items":[{"product_id":"%s","quantity": 1}]}',
            id, user_id, lpad(to_hex(:product::integer), 32, '0')
        )::json
    FROM placed
)
SELECT id AS order_id, user_id AS user_id, correlation_id AS correlation_id FROM placed \gset

-- 2 Take the stock.
WITH taken AS (
    UPDATE stock
    SET available = available - 1
    WHERE product_id = lpad(to_hex(:product::integer), 32, '0')::uuid AND available >= 1
    RETURNING product_id
)
INSERT INTO reservations (order_id, state, lines, currency, total_minor)
SELECT
    :order_id::uuid, 'held',
    format(
        '[{"name":"Mechanical keyboard","quantity": 1,"product_id":"%s","unit_price_minor": 4999}]', product_id
    )::jsonb,
    'USD', 4999
FROM taken;

-- 3 Write down what the provider is about to be asked for, so that a crash leaves nothing unknown there.
INSERT INTO payments (
    id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
    state, correlation_id, traceparent
)
VALUES (
    uuidv7(), :order_id::uuid, :user_id::uuid, 4999, 'USD', 'pm_card_visa', 'visa', '4242',
    'intended', :correlation_id::text, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
)
RETURNING id AS payment_id \gset

-- 4 Authorize the payment, as if the provider had said yes.
WITH authorized AS (
    UPDATE payments
    SET state = 'authorized', wanted = NULL, code = NULL, authorized_at = now()
    WHERE id = :payment_id::uuid AND state = 'intended' AND wanted IS NULL
    RETURNING id, order_id, user_id, correlation_id
)
INSERT INTO payments_journal (event_id, type, subject, correlation_id, traceparent, data)
SELECT
    uuidv7(), 'payment.authorized', id::text, correlation_id, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    format(
        '{"payment_id":"%s","order_id":"%s","user_id":"%s","amount":{"amount":"49.99","currency":"USD"},"code": null}',
        id, order_id, user_id
    )::json
FROM authorized;

-- 5 Confirm the order.
WITH confirmed AS (
    UPDATE orders
    SET status = 'confirmed',
        lines = format(
            '[{"name":"Mechanical keyboard","quantity": 1,"product_id":"%s","unit_price_minor": 4999}]',
            lpad(to_hex(:product::integer), 32, '0')
        )::jsonb,
        currency = 'USD', total_minor = 4999, confirmed_at = now(), last_trouble = NULL
    WHERE id = :order_id::uuid AND status = 'pending'
    RETURNING id, user_id, correlation_id
)
INSERT INTO orders_journal (event_id, type, subject, correlation_id, traceparent, data)
SELECT
    uuidv7(), 'order.confirmed', id::text, correlation_id, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    format(
        '{"order_id":"%s","user_id":"%s","name":"Ada Lovelace","email":"ada-0123456789ab@example.com",'
        '"items":[{"product_id":"%s","name":"Mechanical keyboard","quantity": 1,'
        '"unit_price":{"amount":"49.99","currency":"USD"},"line_total":{"amount":"49.99","currency":"USD"}}],'
        '"total":{"amount":"49.99","currency":"USD"}}',
        id, user_id, lpad(to_hex(:product::integer), 32, '0')
    )::json
FROM confirmed;
