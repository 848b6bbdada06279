"""The statements that find products: by the words as they were said, or by what was meant by words that nobody has.

Why it is two searches, one after the other: docs/decisions/0015.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from catalog.messages import Product
from catalog.product_search import ProductSearch, Sort, taken_apart
from catalog.store_products import FROM_PRODUCTS, PRODUCT, product_of
from chassis.database import Connection

Found: TypeAlias = list[tuple[Product, tuple[Any, ...]]]
"""Products, each with its place in the order."""

SIMILARITY_MIN = 0.5
"""The share of a misspelt word's trigrams that a word has to have, to count as meant."""
NEARNESS_MIN = 0.8
"""A word has to be so near, as a share of how near the nearest is: with "wireless" at hand, nobody means "wires"."""
MEANINGS_MAX = 5
"""So many words may be meant by one."""
WORDS_MAX = 8
"""So many words of a query are looked at, so that a long one is no more work than that."""
PREFIX_LETTERS_MIN = 3
"""A word of so many letters may be half of a longer one."""

# Of a few parts: each may be half-typed, and then costs a look at all that begins so.
_IS_LIKE_A_SKU = "$1 ~ '^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+){0,4}[._-]*$'"
# SKUs are no English: of "HEADPHONES-ANC" that dictionary would make "headphon", and find nothing.
_AS_SAID = f"""
    websearch_to_tsquery('english', $1::text) ||
    CASE WHEN {_IS_LIKE_A_SKU} THEN phraseto_tsquery('simple', $1) ELSE '' END
"""

# What is put together to a query here are words out of `words_of`, which have letters and digits alone, and a SKU in
# quotes, so nobody's input is ever read as the language of `to_tsquery`. Everything else that is said, such as that a
# word is not wanted, stays as it is.
_AS_MEANT = f"""
    WITH RECURSIVE strange AS (
        SELECT row_number() OVER () AS number, asked.word, trigrams_of(asked.word) AS trigrams
        FROM (
            SELECT word
            FROM words_of($1) AS word
            WHERE numnode(plainto_tsquery('english', word)) > 0
            ORDER BY word
            LIMIT {WORDS_MAX}
        ) AS asked
        WHERE CASE
            WHEN $2::text[] IS NOT NULL THEN asked.word = ANY ($2)
            ELSE NOT EXISTS (
                SELECT FROM products
                WHERE products.search @@ plainto_tsquery('english', asked.word)
                  AND products.deleted_at IS NULL
            )
        END
    ), telling AS (
        -- Who has half of seven trigrams has one that is not at an end of the word, where many words are alike.
        SELECT number, word, trigrams, CASE
            WHEN cardinality(trigrams) < 7 THEN trigrams
            ELSE ARRAY(SELECT trigram FROM unnest(trigrams) AS trigram WHERE trigram NOT LIKE '% %')
        END AS telling
        FROM strange
    ), meant AS (
        SELECT strange.number, plainto_tsquery('english', strange.word) AS said,
               to_tsquery('english', concat_ws(
                   ' | ',
                   strange.word || CASE WHEN length(strange.word) >= {PREFIX_LETTERS_MIN} THEN ':*' ELSE '' END,
                   string_agg(similar_word.word, ' | ')
               )) AS meant
        FROM telling AS strange
        LEFT JOIN LATERAL (
            SELECT words.word, near.share, max(near.share) OVER () AS share_max
            FROM words
            CROSS JOIN LATERAL (
                SELECT count(*)::double precision / cardinality(strange.trigrams) AS share
                FROM unnest(words.trigrams) AS trigram
                WHERE trigram = ANY (strange.trigrams)
            ) AS near
            WHERE words.trigrams && strange.telling
              AND cardinality(words.trigrams) >= {SIMILARITY_MIN} * cardinality(strange.trigrams)
              AND words.word <> strange.word
              AND near.share >= {SIMILARITY_MIN}
            ORDER BY near.share DESC, abs(length(words.word) - length(strange.word)), words.word
            LIMIT {MEANINGS_MAX}
        ) AS similar_word ON similar_word.share >= {NEARNESS_MIN} * similar_word.share_max
        GROUP BY strange.number, strange.word
    ), rewritten (number, query) AS (
        SELECT 0::bigint, websearch_to_tsquery('english', $3)
        UNION ALL
        SELECT meant.number, ts_rewrite(rewritten.query, meant.said, meant.meant)
        FROM rewritten
        JOIN meant ON meant.number = rewritten.number + 1
    )
    SELECT ARRAY(SELECT word FROM strange ORDER BY number) AS strange, nullif(
        rewritten.query ||
            CASE WHEN {_IS_LIKE_A_SKU} AND length($1) >= {PREFIX_LETTERS_MIN}
                THEN to_tsquery('simple', '''' || $1 || ''':*')
                ELSE ''
            END,
        {_AS_SAID}
    )::text AS query
    FROM rewritten
    ORDER BY rewritten.number DESC
    LIMIT 1
"""  # noqa: S608 - What stands in the braces are the constants above.

# The column that each order goes by, before the id; with its type.
_RANK = "ts_rank_cd(products.search, asked.query)::double precision"
_ORDERS: dict[Sort, tuple[dict[str, str], str]] = {
    Sort.RELEVANCE: ({_RANK: "double precision"}, "DESC"),
    Sort.NAME: ({"lower(products.name)": "text"}, "ASC"),
    Sort.PRICE: ({"products.currency": "text", "products.price_minor": "bigint"}, "ASC"),
    Sort.DEAREST: ({"products.currency": "text", "products.price_minor": "bigint"}, "DESC"),
    Sort.NEWEST: ({"products.created_at": "timestamptz"}, "DESC"),
}


async def read_meaning(
    connection: Connection, query: str, strange: Sequence[str] | None
) -> tuple[tuple[str, ...], str | None]:
    """Which of the query's words no product has, and a `tsquery` with similar words for them.

    None in place of the latter when there is nothing to ask for but what was said. On a later page `strange` are those
    words, so that they stay the same though somebody adds a product that has one.
    """
    # Only single words are kept, so what is joined is taken apart.
    row = await connection.fetchrow(_AS_MEANT, query, strange, taken_apart(query))
    assert row is not None, "there is a query at the least"
    return tuple(row["strange"]), row["query"] or None


async def search_products(
    connection: Connection, search: ProductSearch, limit: int, *, meaning: str | None = None
) -> Found:
    """Up to `limit` products. `meaning` takes the place of the search's query."""
    arguments: list[Any] = []

    def given(value: Any) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    source, conditions = "products", ["products.deleted_at IS NULL"]
    if search.query is not None:
        given(meaning or search.query)
        source += f" CROSS JOIN (SELECT {'$1::text::tsquery' if meaning else _AS_SAID} AS query) AS asked"
        conditions.append("products.search @@ asked.query")
    conditions += _filters(search, given)
    order, direction = _ORDERS[search.sort]
    columns = order | {"products.id": "uuid"}
    if search.after is not None:
        place = ", ".join(f"{given(value)}::{kind}" for value, kind in zip(search.after, columns.values(), strict=True))
        conditions.append(f"({', '.join(columns)}) {'>' if direction == 'ASC' else '<'} ({place})")
    places = [f"place_{number}" for number in range(len(columns))]
    in_order = ", ".join(f"{name} {direction}" for name in places)
    # What is wide is read for the page alone, and not for all that has to be put in order.
    rows = await connection.fetch(
        f"""
        WITH page AS (
            SELECT {", ".join(f"{column} AS {name}" for name, column in zip(places, columns, strict=True))}
            FROM {source}
            WHERE {" AND ".join(conditions)}
            ORDER BY {in_order}
            LIMIT {given(limit)}
        )
        SELECT {PRODUCT}, {", ".join(places)}
        {FROM_PRODUCTS}
        JOIN page ON page.{places[-1]} = products.id
        ORDER BY {in_order}
        """,  # noqa: S608 - What stands in the braces are statements of this module and numbers of parameters.
        *arguments,
    )
    return [(product_of(row), tuple(row[name] for name in places)) for row in rows]


def _filters(search: ProductSearch, given: Callable[[Any], str]) -> list[str]:
    """Conditions on products; `given` makes a value an argument of the statement."""
    conditions = []
    if search.category is not None:
        name = f"lower({given(search.category)})"
        conditions.append(f"products.category_id = (SELECT id FROM categories WHERE lower(name) = {name})")  # noqa: S608
    if search.currency is not None:
        conditions.append(f"products.currency = {given(search.currency)}")
    if search.price_minor_min is not None:
        conditions.append(f"products.price_minor >= {given(search.price_minor_min)}")
    if search.price_minor_max is not None:
        conditions.append(f"products.price_minor <= {given(search.price_minor_max)}")
    if search.in_stock is not None:
        left = "available > 0" if search.in_stock else "available = 0"
        conditions.append(f"EXISTS (SELECT FROM stock WHERE stock.product_id = products.id AND {left})")
    return conditions
