"""The rules of reservations without I/O, compared with a model that is simple enough to be right."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.domain.reservation import (
    LINES_MAX,
    TOTAL_MINOR_MAX,
    Reservation,
    ReservationRefusal,
    ReservedLine,
    Settlement,
    StockRequest,
    StockRequestLine,
    allocate,
    is_oversold,
    released_quantities,
    settle,
)
from catalog.domain.stock import ProductStock

PRODUCTS = [UUID(int=number) for number in range(1, 5)]
ORDER = UUID(int=99)
lines = st.lists(
    st.tuples(st.sampled_from(PRODUCTS), st.integers(1, 6)), min_size=1, max_size=4, unique_by=lambda x: x[0]
)


def stock(*available: int, price: int = 1_000) -> dict[UUID, ProductStock]:
    return {
        id_: ProductStock(id_, f"product {id_.int}", price, "USD", left, True)
        for id_, left in zip(PRODUCTS, available, strict=False)
    }


def order(*order_lines: tuple[UUID, int], expected: tuple[int, str] | None = None) -> StockRequest:
    return StockRequest(ORDER, [StockRequestLine(*line) for line in order_lines], expected)


def code_of(request: StockRequest, products: dict[UUID, ProductStock]) -> str:
    [outcome] = allocate([request], products).outcomes
    return outcome.code if isinstance(outcome, ReservationRefusal) else "reserved"


@given(available=st.lists(st.integers(0, 15), min_size=4, max_size=4), orders=st.lists(lines, max_size=12))
def test_orders_are_served_first_come_first_served_with_all_their_lines_or_none(
    available: Sequence[int], orders: Sequence[Sequence[tuple[UUID, int]]]
) -> None:
    left = dict(zip(PRODUCTS, available, strict=True))
    expected: list[bool] = []
    for order_lines in orders:
        fits = all(left[id_] >= quantity for id_, quantity in order_lines)
        for id_, quantity in order_lines if fits else ():
            left[id_] -= quantity
        expected.append(fits)

    allocation = allocate([order(*order_lines) for order_lines in orders], stock(*available))

    assert [isinstance(outcome, Reservation) for outcome in allocation.outcomes] == expected
    for id_, before in zip(PRODUCTS, available, strict=True):
        assert before - allocation.quantities.get(id_, 0) == left[id_] >= 0


def test_a_refusal_names_the_available_quantity_of_each_short_line() -> None:
    [outcome] = allocate([order((PRODUCTS[0], 1), (PRODUCTS[1], 4), (PRODUCTS[2], 2))], stock(5, 3, 0)).outcomes
    assert isinstance(outcome, ReservationRefusal)
    assert [(short.product_id, short.requested, short.available) for short in outcome.shortages] == [
        (PRODUCTS[1], 4, 3),
        (PRODUCTS[2], 2, 0),
    ]


def test_an_order_for_an_unknown_or_deleted_product_is_refused() -> None:
    products = stock(5)
    assert code_of(order((PRODUCTS[0], 1), (PRODUCTS[3], 1)), products) == "unknown_product"
    products[PRODUCTS[3]] = ProductStock(PRODUCTS[3], "gone", 1_000, "USD", 5, is_on_sale=False)
    assert code_of(order((PRODUCTS[3], 1)), products) == "unknown_product"


def test_an_order_in_two_currencies_is_refused() -> None:
    products = stock(5) | {PRODUCTS[1]: ProductStock(PRODUCTS[1], "foreign", 1_000, "EUR", 5, True)}
    assert code_of(order((PRODUCTS[0], 1), (PRODUCTS[1], 1)), products) == "mixed_currencies"


def test_a_total_never_exceeds_the_largest_amount() -> None:
    assert code_of(order((PRODUCTS[0], 1)), stock(5, price=TOTAL_MINOR_MAX)) == "reserved"
    assert code_of(order((PRODUCTS[0], 2)), stock(5, price=TOTAL_MINOR_MAX)) == "total_too_large"


@pytest.mark.parametrize("expected", [(1_999, "USD"), (2_000, "EUR"), (-1, "USD")])
def test_a_total_other_than_the_expected_one_is_refused_with_the_current_one(expected: tuple[int, str]) -> None:
    [outcome] = allocate([order((PRODUCTS[0], 2), expected=expected)], stock(5)).outcomes
    assert isinstance(outcome, ReservationRefusal)
    assert (outcome.code, outcome.total_minor, outcome.currency) == ("price_changed", 2_000, "USD")
    assert code_of(order((PRODUCTS[0], 2), expected=(2_000, "USD")), stock(5)) == "reserved"


@pytest.mark.parametrize(
    "order_lines",
    [
        [],
        [(PRODUCTS[0], 0)],
        [(PRODUCTS[0], -1)],
        [(PRODUCTS[0], 1), (PRODUCTS[0], 1)],
        [(UUID(int=number), 1) for number in range(LINES_MAX + 1)],
    ],
)
def test_unacceptable_lines_refuse_their_own_order_only(order_lines: Sequence[tuple[UUID, int]]) -> None:
    outcomes = allocate([order(*order_lines), order((PRODUCTS[0], 5))], stock(5)).outcomes
    assert isinstance(outcomes[0], ReservationRefusal)
    assert outcomes[0].code == "unacceptable_lines"
    assert isinstance(outcomes[1], Reservation)


HELD = Reservation(ORDER, "held", [ReservedLine(PRODUCTS[0], "lamp", 3, 1_000)], "USD", 3_000)


@given(st.lists(st.sampled_from(Settlement), max_size=8), st.booleans())
def test_a_reservation_returns_stock_at_most_once_after_any_settlements(
    settlements: Sequence[Settlement], is_reserved: bool
) -> None:
    reservation = HELD if is_reserved else None
    returned = 0
    for settlement in settlements:
        after = settle(ORDER, reservation, settlement)
        if after is not None:
            returned += released_quantities([reservation] if reservation else [], [after]).get(PRODUCTS[0], 0)
            reservation = after
    is_released = reservation is not None and reservation.state == "released"
    assert returned == (3 if is_reserved and is_released else 0)


def test_a_cancellation_releases_a_sold_reservation_and_an_undo_does_not() -> None:
    sold = settle(ORDER, HELD, Settlement.CONFIRMATION)
    assert sold is not None
    assert sold.state == "sold"
    assert settle(ORDER, sold, Settlement.UNDO) is None
    cancelled = settle(ORDER, sold, Settlement.CANCELLATION)
    assert cancelled is not None
    assert cancelled.state == "released"


def test_a_confirmed_order_without_stock_is_detected_unless_it_was_cancelled_before() -> None:
    undone = settle(ORDER, HELD, Settlement.UNDO)
    cancelled = settle(ORDER, HELD, Settlement.CANCELLATION)
    assert is_oversold(None, Settlement.CONFIRMATION)
    assert is_oversold(undone, Settlement.CONFIRMATION)
    assert not is_oversold(cancelled, Settlement.CONFIRMATION)
    assert not is_oversold(HELD, Settlement.CONFIRMATION)
