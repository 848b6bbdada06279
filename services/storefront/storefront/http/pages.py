"""HTML pages and their headers. All pages work without scripts, and forbid them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import HttpMethod, Response
from litestar.enums import MediaType

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
READ_METHODS = [HttpMethod.GET, HttpMethod.HEAD]
"""Browsers send GET, monitors and link checkers HEAD. The server omits the body of an answer to HEAD."""
STYLE_SHEET = (Path(__file__).parent / "static" / "style.css").read_bytes()
# The URL changes with the content, so browsers may cache the file for ever.
_STYLE_URL = f"/static/style.css?{hashlib.sha256(STYLE_SHEET).hexdigest()[:12]}"

Render = Callable[..., Response[str]]


def renderer(**helpers: Any) -> Render:
    """A function that renders a template. `helpers` are available in each template."""
    templates = Environment(loader=PackageLoader("storefront.http"), autoescape=True, undefined=StrictUndefined)
    templates.globals.update(style_url=_STYLE_URL, **helpers)

    def render(template: str, status: int = 200, **values: Any) -> Response[str]:
        content = templates.get_template(template).render(**values)
        # Prices and stock change at any time.
        headers = {**SECURITY_HEADERS, "cache-control": "no-cache"}
        return Response(content, media_type=MediaType.HTML, status_code=status, headers=headers)

    return render
