"""The reference of all operations and events: a page for people, and the documents for tools."""

from litestar import Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from chassis.security import access
from storefront.clients.openapi_documents import OpenApiDocuments
from storefront.domain.asyncapi import asyncapi_document
from storefront.domain.contracts import Contracts
from storefront.domain.openapi import Document
from storefront.domain.reference import event_references, service_reference
from storefront.errors import NoSuchService, ReferenceUnavailable
from storefront.http.pages import READ_METHODS, renderer

_NO_SNIFFING = {"x-content-type-options": "nosniff"}


def routes(documents: OpenApiDocuments, contracts: Contracts, version: str) -> list[HTTPRouteHandler]:
    render = renderer()
    events = event_references(contracts)
    asyncapi = asyncapi_document(contracts, version)

    @route("/docs", http_method=READ_METHODS, guards=[access.anyone], include_in_schema=False)
    async def reference() -> Response[str]:
        services = [service_reference(name, document) for name, document in (await documents.all()).items()]
        return render("reference.html", services=services, events=events)

    @route("/docs/openapi/{file:str}", http_method=READ_METHODS, guards=[access.anyone], include_in_schema=False)
    async def openapi(file: FromPath[str]) -> Response[Document]:
        name = file.removesuffix(".json")
        try:
            document = await documents.of(name)
        except KeyError:
            raise NoSuchService from None
        if document is None:
            raise ReferenceUnavailable(f"The OpenAPI document of {name} is not available at the moment.")
        return Response(document, headers=_NO_SNIFFING)

    @route(
        "/docs/asyncapi.json",
        http_method=READ_METHODS,
        guards=[access.anyone],
        include_in_schema=False,
        sync_to_thread=False,
    )
    def asyncapi_json() -> Response[Document]:
        return Response(asyncapi, headers=_NO_SNIFFING)

    return [reference, openapi, asyncapi_json]
