"""The page at / in a browser: the products, or a notice when catalog does not answer."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from httpx import AsyncClient as Client

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """A parsed page: its tags in order, its text and its links. Every tag has to be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def links(self) -> list[str]:
        return [str(link["href"]) for link in self.all("a")]


async def page_at(client: Client, address: str) -> Page:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


async def test_the_products_are_listed_with_price_stock_and_category(client: Client) -> None:
    page = await page_at(client, "/")

    for expected in ("Mechanical keyboard", "149.99 USD", "50", "Keyboards", "3500 JPY", "sold out"):
        assert expected in page.text
    assert "/docs" in page.links()


async def test_text_of_catalog_and_of_the_visitor_is_never_markup(client: Client, peers: Any) -> None:
    peers["catalog"].answers["GET /products"]["items"][0]["description"] = '"><script>alert(1)</script>'

    page = await page_at(client, '/?q="><script>alert(2)</script>')

    assert not page.all("script")
    assert "<b>暖簾</b>" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert {"id": "q", "name": "q", "value": '"><script>alert(2)</script>'}.items() <= page.all("input")[0].items()


async def test_a_search_and_a_category_are_passed_to_catalog(client: Client, peers: Any) -> None:
    await page_at(client, "/?q=usb+hub&category=Cables+%26+hubs&cursor=abc")

    query = peers["catalog"].request_to("GET /products")[1]
    assert query == {"q": "usb hub", "category": "Cables & hubs", "cursor": "abc", "limit": "24"}


async def test_the_next_page_keeps_the_search(client: Client) -> None:
    page = await page_at(client, "/?q=usb+hub&category=A%26B")

    [following] = [link["href"] for link in page.all("a") if link.get("rel") == "next"]
    assert parse_qs(urlsplit(str(following)).query) == {"q": ["usb hub"], "category": ["A&B"], "cursor": ["WyJrIiwxXQ"]}


async def test_the_last_page_has_no_link_to_a_next_page(client: Client, peers: Any) -> None:
    peers["catalog"].answers["GET /products"]["next_cursor"] = None

    page = await page_at(client, "/?cursor=abc")

    assert not [link for link in page.all("a") if link.get("rel") == "next"]
    assert "/" in page.links()


async def test_an_empty_result_has_a_notice(client: Client, peers: Any) -> None:
    peers["catalog"].answers["GET /products"] = {"items": [], "next_cursor": None}

    assert "Nothing was found." in (await page_at(client, "/?q=unicorn")).text


@pytest.mark.parametrize("how", ["is down", "hangs", "answers garbage", "fails"])
async def test_the_page_has_a_notice_when_catalog_does_not_answer(how: str, client: Client, peers: Any) -> None:
    match how:
        case "is down":
            await peers["catalog"].stop()
        case "hangs":
            peers["catalog"].hangs = True
        case "answers garbage":
            peers["catalog"].answers["GET /products"] = b"<html>"
        case "fails":
            peers["catalog"].statuses["GET /products"] = 500

    page = await page_at(client, "/?q=keyboard")

    assert "cannot be shown at the moment" in page.text
    assert page.all("input")[0]["value"] == "keyboard"


async def test_the_refusal_of_a_search_is_shown_on_the_page(client: Client, peers: Any) -> None:
    problem = {"status": 422, "code": "invalid", "title": "Invalid", "detail": "The cursor is none."}
    peers["catalog"].answers["GET /products"] = problem
    peers["catalog"].statuses["GET /products"] = 422

    answer = await client.get("/?cursor=nonsense")

    assert answer.status_code == 422
    assert "The cursor is none." in Page(answer.text).text


@pytest.mark.parametrize("address", ["/", "/docs"])
async def test_pages_need_no_script_and_forbid_scripts(address: str, client: Client) -> None:
    answer = await client.get(address)
    page = Page(answer.text)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not page.all("script")
    # The policy would silently ignore these.
    assert not page.all("style")
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("address", ["/", "/docs"])
async def test_pages_are_readable_by_a_screen_reader(address: str, client: Client) -> None:
    page = await page_at(client, address)

    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    labelled = {label["for"] for label in page.all("label")}
    assert {field["id"] for field in page.all("input") if field.get("type") != "hidden"} <= labelled
    assert all(cell.get("scope") for cell in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.links() if link.startswith("#")} <= set(ids)


async def test_the_style_sheet_is_cacheable_and_its_url_changes_with_its_content(client: Client) -> None:
    [sheet] = [link["href"] for link in (await page_at(client, "/")).all("link")]

    answer = await client.get(str(sheet))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert "?" in str(sheet)


async def test_an_over_long_search_is_refused_without_a_call(client: Client, peers: Any) -> None:
    answer = await client.get("/", params={"q": "x" * 801})

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"
    assert not peers["catalog"].requests


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/asyncapi.json"])
async def test_a_page_accepts_the_parameters_of_trackers(client: Client, path: str) -> None:
    assert (await client.get(f"{path}?utm_source=newsletter&fbclid=x")).status_code == 200
