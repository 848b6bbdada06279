"""Promise 2: no buyer is charged twice. One order per key, one live payment per order, and the provider agrees."""

from cartwright.verifier.invariant import Invariant, Rule

ONE_ORDER_PER_KEY = Rule(
    service="orders",
    says="several orders share one key",
    things="orders",
    total="SELECT count(*) FROM orders",
    broken="""
        SELECT min(id::text), format('user %s, key %s: %s', user_id, idempotency_key, string_agg(id::text, ' '))
        FROM orders
        WHERE idempotency_key IS NOT NULL
        GROUP BY user_id, idempotency_key
        HAVING count(*) > 1
    """,
)
ONE_ORDER_PER_CART = Rule(
    service="orders",
    says="several orders have bought one cart",
    things="carts bought",
    total="SELECT count(*) FROM cart_purchases",
    broken="""
        SELECT min(order_id::text), format('user %s, version %s: %s', user_id, cart_version,
                                           string_agg(order_id::text, ' '))
        FROM cart_purchases
        GROUP BY user_id, cart_version
        HAVING count(*) > 1
    """,
)
# Else the same lines would be bought again with the next version.
BOUGHT_CART_IS_EMPTY = Rule(
    service="orders",
    says="what an order has bought is still in the cart",
    things="carts bought",
    total="SELECT count(*) FROM cart_purchases",
    broken="""
        SELECT bought.order_id, format('user %s, version %s', carts.user_id, carts.version)
        FROM carts
        JOIN cart_purchases AS bought ON bought.user_id = carts.user_id AND bought.cart_version = carts.version
        WHERE EXISTS (SELECT FROM cart_items WHERE cart_items.user_id = carts.user_id)
    """,
)
ONE_LIVE_PAYMENT = Rule(
    service="payments",
    says="an order has several live payments",
    things="payments",
    total="SELECT count(*) FROM payments WHERE user_id IS NOT NULL",
    broken="""
        SELECT order_id, string_agg(format('%s %s', id, state), ', ')
        FROM payments
        WHERE state IN ('intended', 'authorized', 'captured')
        GROUP BY order_id
        HAVING count(*) > 1
    """,
)
# What is wanted or intended is being asked of the provider just now. A tombstone was never told to it.
PROVIDER_AGREES = Rule(
    service="payments",
    says="the provider's record is another",
    things="payments of the provider",
    total="SELECT count(*) FROM sandbox_payments",
    broken="""
        SELECT coalesce(payments.id, record.payment_id),
               format('%s %s %s here, %s %s %s there',
                      coalesce(payments.state, 'unknown'), payments.amount_minor, payments.currency,
                      coalesce(record.state, 'unknown'), record.amount_minor, record.currency)
        FROM payments
        FULL JOIN sandbox_payments AS record ON record.payment_id = payments.id
        WHERE (payments.id IS NULL AND record.state IN ('authorized', 'captured'))
           OR (payments.wanted IS NULL
               AND payments.state <> 'intended'
               AND CASE payments.state
                       WHEN 'voided' THEN coalesce(record.state, 'voided') IN ('voided', 'declined')
                       WHEN 'declined' THEN coalesce(record.state, 'declined') IN ('declined', 'voided')
                       ELSE (record.state, record.amount_minor, record.currency)
                            = (payments.state, payments.amount_minor, payments.currency)
                   END IS NOT TRUE)
    """,
)

INVARIANT = Invariant(
    2,
    "one order per key and per cart, one live payment per order",
    rules=(ONE_ORDER_PER_KEY, ONE_ORDER_PER_CART, BOUGHT_CART_IS_EMPTY, ONE_LIVE_PAYMENT, PROVIDER_AGREES),
)
