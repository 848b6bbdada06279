"""The statements that find products: by the words as they were said, or by what was meant by words that nobody has.

Why it is two searches, one after the other: docs/decisions/0015. What a document holds: docs/decisions/0027.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from catalog.domain.product_search import ProductSearch, Sort, taken_apart
from catalog.messages import Product
from catalog.store.products import FROM_PRODUCTS, PRODUCT, found_category, product_of
from chassis.persistence.database import Connection

Found: TypeAlias = list[tuple[Product, tuple[Any, ...]]]
"""Products, each with its place in the order."""


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Each the text of a `tsquery`: what finds a product, what its rank goes by, and what puts it first."""

    found: str
    said: str
    name: str = ""


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
    CASE
        WHEN {_IS_LIKE_A_SKU} AND phraseto_tsquery('simple', $1) <> websearch_to_tsquery('english', $1)
        THEN phraseto_tsquery('simple', $1)
        ELSE ''
    END
"""

PIECES_MAX = 32
"""So many words and signs of a query are looked for among names, and of a run without blanks so many letters."""
RUN_LETTERS_MAX = 64
TAIL_LETTERS_MIN = 3
"""So many characters are taken for the tail of a SKU."""

# The query as it was said, and names: each word as a word of the language or as one of a name, in either spelling.
# Words that the language leaves out are asked for only where there is no other. `$2` is the query as a whole, which may
# be a name. `$3` is whether it consists of words alone; if not, its operators say what is wanted.
_AS_SAID_OR_NAMED = f"""
    WITH letters AS (
        SELECT pieces_of(plain_letters(searchable($1))) AS plain, pieces_of(paired_letters(searchable($1))) AS paired
    ), words AS (
        SELECT plainto_tsquery('english', spelling.plain) AS said, (
            SELECT string_agg('(' || named.query || ')', ' | ')
            FROM unnest(ARRAY[spelling.plain, nullif(spelling.paired, spelling.plain)]) AS piece
            CROSS JOIN LATERAL (
                SELECT string_agg(quoted_lexeme(lexeme), ' & ') AS query
                FROM unnest(lexemes_of(left(piece, {RUN_LETTERS_MAX}))) AS lexeme
            ) AS named
        )::tsquery AS named
        FROM letters
        CROSS JOIN LATERAL unnest(letters.plain[1:{PIECES_MAX}], letters.paired[1:{PIECES_MAX}])
            AS spelling (plain, paired)
    ), together AS (
        SELECT coalesce(
            string_agg('(' || (said || named)::text || ')', ' & ') FILTER (WHERE numnode(said) > 0),
            string_agg('(' || named::text || ')', ' & ')
        )::tsquery AS query
        FROM words
    )
    SELECT ({_AS_SAID})::text AS said, quoted_lexeme(lexeme_of_whole($2)) AS name, (
        ({_AS_SAID}) ||
        quoted_lexeme(lexeme_of_whole($2))::tsquery ||
        CASE WHEN $3 THEN coalesce(together.query, '') ELSE '' END ||
        CASE WHEN {_IS_LIKE_A_SKU} AND length(lexeme_of_tail($1)) > {TAIL_LETTERS_MIN}
            THEN (quoted_lexeme(lexeme_of_tail($1)) || ':*')::tsquery
            ELSE ''
        END
    )::text AS found
    FROM together
"""  # noqa: S608 - What stands in the braces are the constants above.

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
# To rank by all that is looked for takes several times as long, since most of it is there to find the same.
_RANK = """(
    ts_rank_cd(asked.document, asked.said) + CASE WHEN asked.document @@ asked.name THEN 1 ELSE 0 END
)::double precision"""
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


async def read_query(connection: Connection, search: ProductSearch, *, in_documents: bool) -> SearchQuery:
    """What was said, as queries of PostgreSQL. `in_documents`: names are looked for, too, as documents have them."""
    if not in_documents:
        said = await connection.fetchval(f"SELECT ({_AS_SAID})::text", search.query)
        return SearchQuery(found=said, said=said)
    row = await connection.fetchrow(_AS_SAID_OR_NAMED, search.query, search.whole, search.is_of_words_alone)
    assert row is not None, "there is a query at the least"
    return SearchQuery(**row)


async def search_products(
    connection: Connection, search: ProductSearch, limit: int, query: SearchQuery | None, *, in_documents: bool
) -> Found:
    """Up to `limit` of the products that `query` finds; None finds all."""
    arguments: list[Any] = []

    def given(value: Any) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    source, conditions = "products", ["products.deleted_at IS NULL"]
    if query is not None:
        document = "search_documents.document" if in_documents else "products.search"
        source = (
            "search_documents JOIN products ON products.id = search_documents.product_id" if in_documents else source
        )
        parts = ", ".join(f"{given(part)}::text::tsquery" for part in (query.said, query.name))
        source += f" CROSS JOIN LATERAL (SELECT {document}, {parts}) AS asked (document, said, name)"
        conditions.append(f"{document} @@ {given(query.found)}::text::tsquery")
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
        conditions.append(f"products.category_id = (SELECT id {found_category(given(search.category))})")
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
