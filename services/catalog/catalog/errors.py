"""The refusals of catalog. Their codes are part of the API and never change."""

from chassis.problems import Conflict, Invalid, NotFound


class UnknownProduct(NotFound):
    code, title = "unknown_product", "There is no such product."


class UnknownCategory(Invalid):
    code, title = "unknown_category", "There is no such category."


class SkuTaken(Conflict):
    code, title = "sku_taken", "Another product has this SKU."


class CategoryExists(Conflict):
    code, title = "category_exists", "There is a category of this name already."


class StockTooLow(Conflict):
    code, title = "stock_too_low", "The stock is lower than the quantity to take out."


class OutOfStock(Conflict):
    code, title = "out_of_stock", "The stock is too low."


class PriceChanged(Conflict):
    code, title = "price_changed", "The price is not the expected one."


class AlreadyReleased(Conflict):
    code, title = "released", "The reservation of this order was released before."


class MixedCurrencies(Invalid):
    code, title = "mixed_currencies", "The products have prices in different currencies."


class TotalTooLarge(Invalid):
    code, title = "total_too_large", "The total exceeds the largest possible amount."


class UnacceptableLines(Invalid):
    code, title = "unacceptable_lines", "The lines cannot be reserved."
