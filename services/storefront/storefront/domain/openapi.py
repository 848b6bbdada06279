"""The public part of a service's OpenAPI document, as clients of the gateway see it."""

import re
from typing import Any

Document = dict[str, Any]

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_AT_THE_ROOT = "/.well-known/"
_REFERENCE = re.compile(r"#/components/(?P<kind>[^/]+)/(?P<name>.+)")


def public_document(document: Document) -> Document:
    """The document without internal operations (`x-internal`), and with the paths of the gateway.

    Raises `AttributeError`, `KeyError` or `TypeError` for something other than an OpenAPI document.
    """
    paths = {}
    for path, item in document["paths"].items():
        operations = {key: value for key, value in item.items() if not _is_internal(key, value)}
        if _METHODS & operations.keys():
            # All paths are under /api, but for those whose place a standard determines.
            paths[path] = operations | ({"servers": [{"url": "/"}]} if path.startswith(_AT_THE_ROOT) else {})
    return document | {
        "servers": [{"url": "/api"}],
        "paths": paths,
        "components": _used_components(paths, document.get("components", {})),
    }


def _is_internal(key: str, operation: Any) -> bool:
    return key in _METHODS and bool(operation.get("x-internal"))


def _used_components(paths: Document, components: Document) -> Document:
    """The components that `paths` refers to, directly or not. The shapes of internal calls are not published."""
    used: dict[str, Document] = {kind: {} for kind in components}
    used["securitySchemes"] = components.get("securitySchemes", {})
    unvisited: list[Any] = [paths]
    while unvisited:
        node = unvisited.pop()
        if isinstance(node, list):
            unvisited.extend(node)
        elif isinstance(node, dict):
            unvisited.extend(node.values())
            target = _REFERENCE.fullmatch(str(node.get("$ref", "")))
            if target is not None and target["name"] not in used[target["kind"]]:
                component = components[target["kind"]][target["name"]]
                used[target["kind"]][target["name"]] = component
                unvisited.append(component)
    return {kind: dict(sorted(found.items())) for kind, found in used.items() if found}
