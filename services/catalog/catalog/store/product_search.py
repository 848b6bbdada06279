"""The statements that find products: by the words as typed, or by similar words where no product has those.

Why these are two searches, one after the other: docs/decisions/0015. What a document holds: docs/decisions/0027.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from catalog.domain.product import Product
from catalog.domain.product_search import ProductSearch, Sort, split_compounds
from catalog.store.categories import from_category_named
from catalog.store.products import FROM_PRODUCTS, PRODUCT_COLUMNS, product_from_row
from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement


@dataclass(frozen=True, slots=True)
class Hit:
    """A product that a search finds. The next page begins after its `sort_key`."""

    product: Product
    sort_key: tuple[Any, ...]


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Three texts of a `tsquery`: `matches` selects products, `ranks` ranks them, and `name` puts a product first."""

    matches: str
    ranks: str
    name: str = ""


SIMILARITY_MIN = 0.5
"""The share of a misspelled word's trigrams that a similar word has at least."""
RELATIVE_SIMILARITY_MIN = 0.8
"""The similarity of a word, as a share of the best one: where "wireless" is similar, "wires" is no correction."""
CORRECTIONS_MAX = 5
"""The number of similar words that replace a misspelled one."""
WORDS_MAX = 8
"""The number of words of a query that are corrected, so that a long query costs no more than that."""
PREFIX_CHARACTERS_MIN = 3
"""A word of at least this length may be the beginning of a longer one."""

# The number of parts is bounded: a part may be incomplete, and then reads the index entries of all words that begin so.
_IS_LIKE_A_SKU = ":words ~ '^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+){0,4}[._-]*$'"
# SKUs are not English: that dictionary makes "headphon" of "HEADPHONES-ANC", and finds nothing.
_AS_TYPED = f"""
    websearch_to_tsquery('english', :words::text) ||
    CASE
        WHEN {_IS_LIKE_A_SKU} AND phraseto_tsquery('simple', :words) <> websearch_to_tsquery('english', :words)
        THEN phraseto_tsquery('simple', :words)
        ELSE ''
    END
"""

_READ_QUERY = Statement(f"SELECT ({_AS_TYPED})::text")

PIECES_MAX = 32
"""The number of words and signs of a query that are searched in names."""
RUN_CHARACTERS_MAX = 64
"""The number of characters that are searched of a text without blanks."""
TAIL_CHARACTERS_MIN = 3
"""A query of at least this length may be the tail of a SKU."""

# The query as typed, or names: each word as a word of the language or of a name, in either spelling. The stop words of
# the language count only in a query without other words. `:text` is the whole text, which may be a name. Operators
# are for the words of the language alone.
_READ_QUERY_OR_NAMES = Statement(f"""
    WITH letters AS (
        SELECT
            pieces_of(plain_letters(searchable(:words))) AS plain,
            pieces_of(paired_letters(searchable(:words))) AS paired
    ), words AS (
        SELECT plainto_tsquery('english', spelling.plain) AS typed, (
            SELECT string_agg('(' || named.query || ')', ' | ')
            FROM unnest(ARRAY[spelling.plain, nullif(spelling.paired, spelling.plain)]) AS piece
            CROSS JOIN LATERAL (
                SELECT string_agg(quoted_lexeme(lexeme), ' & ') AS query
                FROM unnest(lexemes_of(left(piece, {RUN_CHARACTERS_MAX}))) AS lexeme
            ) AS named
        )::tsquery AS named
        FROM letters
        CROSS JOIN LATERAL unnest(letters.plain[1:{PIECES_MAX}], letters.paired[1:{PIECES_MAX}])
            AS spelling (plain, paired)
    ), together AS (
        SELECT coalesce(
            string_agg('(' || (typed || named)::text || ')', ' & ') FILTER (WHERE numnode(typed) > 0),
            string_agg('(' || named::text || ')', ' & ')
        )::tsquery AS query
        FROM words
    )
    SELECT ({_AS_TYPED})::text AS ranks, quoted_lexeme(lexeme_of_whole(:text)) AS name, (
        ({_AS_TYPED}) ||
        quoted_lexeme(lexeme_of_whole(:text))::tsquery ||
        CASE WHEN :has_words_only THEN coalesce(together.query, '') ELSE '' END ||
        CASE WHEN {_IS_LIKE_A_SKU} AND length(lexeme_of_tail(:words)) > {TAIL_CHARACTERS_MIN}
            THEN (quoted_lexeme(lexeme_of_tail(:words)) || ':*')::tsquery
            ELSE ''
        END
    )::text AS matches
    FROM together
""")  # noqa: S608 - The braces hold the constants above.

# `to_tsquery` gets only words out of `words_of`, which consist of letters and digits, and a SKU in quotes. So it never
# reads the input of a client as its query language. The rest of the query, such as an exclusion, stays as it is.
_READ_CORRECTION = Statement(f"""
    WITH RECURSIVE misspelled AS (
        SELECT row_number() OVER () AS number, typed.word, trigrams_of(typed.word) AS trigrams
        FROM (
            SELECT word
            FROM words_of(:words) AS word
            WHERE numnode(plainto_tsquery('english', word)) > 0
            ORDER BY word
            LIMIT {WORDS_MAX}
        ) AS typed
        WHERE CASE
            WHEN :misspelled::text[] IS NOT NULL THEN typed.word = ANY (:misspelled)
            ELSE NOT EXISTS (
                SELECT FROM products
                WHERE products.search @@ plainto_tsquery('english', typed.word)
                  AND products.deleted_at IS NULL
            )
        END
    ), selective AS (
        -- A word with half of seven trigrams has one from within the word. Those at its ends are in many words.
        SELECT number, word, trigrams, CASE
            WHEN cardinality(trigrams) < 7 THEN trigrams
            ELSE ARRAY(SELECT trigram FROM unnest(trigrams) AS trigram WHERE trigram NOT LIKE '% %')
        END AS selective
        FROM misspelled
    ), corrections AS (
        SELECT typed.number, plainto_tsquery('english', typed.word) AS typed,
               to_tsquery('english', concat_ws(
                   ' | ',
                   typed.word || CASE WHEN length(typed.word) >= {PREFIX_CHARACTERS_MIN} THEN ':*' ELSE '' END,
                   string_agg(similar_word.word, ' | ')
               )) AS corrected
        FROM selective AS typed
        LEFT JOIN LATERAL (
            SELECT words.word, similarity.share, max(similarity.share) OVER () AS share_max
            FROM words
            CROSS JOIN LATERAL (
                SELECT count(*)::double precision / cardinality(typed.trigrams) AS share
                FROM unnest(words.trigrams) AS trigram
                WHERE trigram = ANY (typed.trigrams)
            ) AS similarity
            WHERE words.trigrams && typed.selective
              AND cardinality(words.trigrams) >= {SIMILARITY_MIN} * cardinality(typed.trigrams)
              AND words.word <> typed.word
              AND similarity.share >= {SIMILARITY_MIN}
            ORDER BY similarity.share DESC, abs(length(words.word) - length(typed.word)), words.word
            LIMIT {CORRECTIONS_MAX}
        ) AS similar_word ON similar_word.share >= {RELATIVE_SIMILARITY_MIN} * similar_word.share_max
        GROUP BY typed.number, typed.word
    ), rewritten (number, query) AS (
        SELECT 0::bigint, websearch_to_tsquery('english', :split)
        UNION ALL
        SELECT corrections.number, ts_rewrite(rewritten.query, corrections.typed, corrections.corrected)
        FROM rewritten
        JOIN corrections ON corrections.number = rewritten.number + 1
    )
    SELECT ARRAY(SELECT word FROM misspelled ORDER BY number) AS misspelled, nullif(
        rewritten.query ||
            CASE WHEN {_IS_LIKE_A_SKU} AND length(:words) >= {PREFIX_CHARACTERS_MIN}
                THEN to_tsquery('simple', '''' || :words || ''':*')
                ELSE ''
            END,
        {_AS_TYPED}
    )::text AS query
    FROM rewritten
    ORDER BY rewritten.number DESC
    LIMIT 1
""")  # noqa: S608 - The braces hold the constants above.

# Ranking by all matches takes several times as long, since most of them are other spellings of the same words.
_RANK = """(
    ts_rank_cd(searched.document, searched.ranks) + CASE WHEN searched.document @@ searched.name THEN 1 ELSE 0 END
)::double precision"""
_ORDERS: dict[Sort, tuple[dict[str, str], str]] = {
    Sort.RELEVANCE: ({_RANK: "double precision"}, "DESC"),
    Sort.NAME: ({"lower(products.name)": "text"}, "ASC"),
    Sort.PRICE: ({"products.currency": "text", "products.price_minor": "bigint"}, "ASC"),
    Sort.PRICE_DESCENDING: ({"products.currency": "text", "products.price_minor": "bigint"}, "DESC"),
    Sort.NEWEST: ({"products.created_at": "timestamptz"}, "DESC"),
}
"""The columns of each order, before the id, with their types."""


async def read_query(connection: Connection, search: ProductSearch, *, in_documents: bool) -> SearchQuery:
    """The query as typed. With `in_documents` it also finds names, in the forms that search documents hold."""
    if not in_documents:
        query = await _READ_QUERY.fetchval(connection, words=search.words)
        return SearchQuery(matches=query, ranks=query)
    row = await _READ_QUERY_OR_NAMES.fetchrow(
        connection, words=search.words, text=search.text, has_words_only=not search.has_operators
    )
    assert row is not None, "the statement returns one row"
    return SearchQuery(**row)


async def read_correction(
    connection: Connection, words: str, misspelled: Sequence[str] | None
) -> tuple[tuple[str, ...], str | None]:
    """The words that no product has, and a `tsquery` with similar words for them.

    The query is None when no correction differs from the words as typed. `misspelled` are the words of the page before:
    they stay the same though a product that has one may have been added.
    """
    # Only single words are replaced, so compounds are split.
    row = await _READ_CORRECTION.fetchrow(connection, words=words, misspelled=misspelled, split=split_compounds(words))
    assert row is not None, "the statement returns one row"
    return tuple(row["misspelled"]), row["query"] or None


async def search_products(
    connection: Connection, search: ProductSearch, limit: int, query: SearchQuery | None, *, in_documents: bool
) -> list[Hit]:
    """Up to `limit` of the products that match `query`; None matches all."""
    parameters: dict[str, Any] = {}

    def bind(name: str, value: Any) -> str:
        parameters[name] = value
        return f":{name}"

    source, conditions = "products", ["products.deleted_at IS NULL"]
    if query is not None:
        document = "search_documents.document" if in_documents else "products.search"
        source = (
            "search_documents JOIN products ON products.id = search_documents.product_id" if in_documents else source
        )
        ranks, name = bind("ranks", query.ranks), bind("name", query.name)
        source += (
            f" CROSS JOIN LATERAL (SELECT {document}, {ranks}::text::tsquery, {name}::text::tsquery)"
            " AS searched (document, ranks, name)"
        )
        conditions.append(f"{document} @@ {bind('matches', query.matches)}::text::tsquery")
    conditions += _filters(search, bind)
    order, direction = _ORDERS[search.sort]
    columns = order | {"products.id": "uuid"}
    if search.after is not None:
        after = ", ".join(
            f"{bind(f'after_{number}', value)}::{kind}"
            for number, (value, kind) in enumerate(zip(search.after, columns.values(), strict=True))
        )
        conditions.append(f"({', '.join(columns)}) {'>' if direction == 'ASC' else '<'} ({after})")
    keys = [f"key_{number}" for number in range(len(columns))]
    in_order = ", ".join(f"{key} {direction}" for key in keys)
    # The wide columns are read for the page alone, and not for all rows that are sorted.
    statement = Statement(
        f"""
        WITH page AS (
            SELECT {", ".join(f"{column} AS {key}" for key, column in zip(keys, columns, strict=True))}
            FROM {source}
            WHERE {" AND ".join(conditions)}
            ORDER BY {in_order}
            LIMIT {bind("limit", limit)}
        )
        SELECT {PRODUCT_COLUMNS}, {", ".join(keys)}
        {FROM_PRODUCTS}
        JOIN page ON page.{keys[-1]} = products.id
        ORDER BY {in_order}
        """  # noqa: S608 - The braces hold SQL of this module and names of parameters.
    )
    rows = await statement.fetch(connection, **parameters)
    return [Hit(product_from_row(row), tuple(row[key] for key in keys)) for row in rows]


def _filters(search: ProductSearch, bind: Callable[[str, Any], str]) -> list[str]:
    """Conditions on products. `bind` adds a value to the parameters of the statement and returns its reference."""
    conditions = []
    if search.category is not None:
        conditions.append(
            f"products.category_id = (SELECT id {from_category_named(bind('category', search.category))})"
        )
    if search.currency is not None:
        conditions.append(f"products.currency = {bind('currency', search.currency)}")
    if search.price_minor_min is not None:
        conditions.append(f"products.price_minor >= {bind('price_minor_min', search.price_minor_min)}")
    if search.price_minor_max is not None:
        conditions.append(f"products.price_minor <= {bind('price_minor_max', search.price_minor_max)}")
    if search.in_stock is not None:
        available = "available > 0" if search.in_stock else "available = 0"
        conditions.append(f"EXISTS (SELECT FROM stock WHERE stock.product_id = products.id AND {available})")
    return conditions
