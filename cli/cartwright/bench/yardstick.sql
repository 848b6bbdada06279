-- A purchase as four transactions, one order at a time, each with the rows that the product writes for it, and each
-- durable before the next begins. No network between services, no identity, no provider, no events told to anyone:
-- what is left is what PostgreSQL can do at all.
\set user random(1, 32)
\set product random(1, :products)

-- 1 Place the order.
BEGIN;
INSERT INTO orders (
    id, user_id, customer_name, customer_email, lines, from_cart, answer_later,
    idempotency_key, fingerprint, correlation_id, traceparent, deadline_at, next_attempt_at
)
VALUES (
    uuidv7(), lpad(to_hex(:user::integer), 32, '0')::uuid, 'Ada Lovelace', 'ada-0123456789ab@example.com',
    jsonb_build_array(jsonb_build_object('product_id', lpad(to_hex(:product::integer), 32, '0'), 'quantity', 1)), false, false,
    gen_random_uuid()::text, '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
    gen_random_uuid()::text, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    now() + interval '900 s', now() + interval '5 s'
)
RETURNING id AS order_id, user_id AS user_id, correlation_id AS correlation_id \gset
INSERT INTO orders_journal (event_id, type, subject, correlation_id, traceparent, data)
VALUES (
    uuidv7(), 'order.placed', :order_id::text, :correlation_id::text, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    json_build_object(
        'order_id', :order_id::text, 'user_id', :user_id::text, 'name', 'Ada Lovelace', 'email', 'ada-0123456789ab@example.com',
        'items', json_build_array(json_build_object('product_id', lpad(to_hex(:product::integer), 32, '0'), 'quantity', 1))
    )
);
COMMIT;

-- 2 Take the stock.
BEGIN;
UPDATE stock
SET available = available - 1
WHERE product_id = lpad(to_hex(:product::integer), 32, '0')::uuid AND available >= 1;
INSERT INTO reservations (order_id, state, lines, currency, total_minor)
VALUES (
    :order_id::uuid, 'held',
    jsonb_build_array(jsonb_build_object(
        'product_id', lpad(to_hex(:product::integer), 32, '0'), 'name', 'Mechanical keyboard', 'quantity', 1, 'unit_price_minor', 4999
    )),
    'USD', 4999
);
COMMIT;

-- 3 Authorize the payment.
BEGIN;
INSERT INTO payments (
    id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
    state, correlation_id, traceparent, authorized_at
)
VALUES (
    uuidv7(), :order_id::uuid, :user_id::uuid, 4999, 'USD', 'pm_card_visa', 'visa', '4242',
    'authorized', :correlation_id::text, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', now()
);
INSERT INTO payments_journal (event_id, type, subject, correlation_id, traceparent, data)
VALUES (
    uuidv7(), 'payment.authorized', :order_id::text, :correlation_id::text, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    json_build_object(
        'order_id', :order_id::text, 'user_id', :user_id::text,
        'amount', json_build_object('amount', '49.99', 'currency', 'USD')
    )
);
COMMIT;

-- 4 Confirm the order.
BEGIN;
UPDATE orders
SET status = 'confirmed',
    lines = jsonb_build_array(jsonb_build_object(
        'product_id', lpad(to_hex(:product::integer), 32, '0'), 'name', 'Mechanical keyboard', 'quantity', 1, 'unit_price_minor', 4999
    )),
    currency = 'USD', total_minor = 4999, confirmed_at = now(), last_trouble = NULL
WHERE id = :order_id::uuid AND status = 'pending';
INSERT INTO orders_journal (event_id, type, subject, correlation_id, traceparent, data)
VALUES (
    uuidv7(), 'order.confirmed', :order_id::text, :correlation_id::text, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    json_build_object(
        'order_id', :order_id::text, 'user_id', :user_id::text, 'name', 'Ada Lovelace', 'email', 'ada-0123456789ab@example.com',
        'items', json_build_array(json_build_object(
            'product_id', lpad(to_hex(:product::integer), 32, '0'), 'name', 'Mechanical keyboard', 'quantity', 1,
            'unit_price', json_build_object('amount', '49.99', 'currency', 'USD'),
            'line_total', json_build_object('amount', '49.99', 'currency', 'USD')
        )),
        'total', json_build_object('amount', '49.99', 'currency', 'USD')
    )
);
COMMIT;
