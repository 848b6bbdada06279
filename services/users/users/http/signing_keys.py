"""The public signing keys (JWKS), and their rotation by an administrator."""

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from chassis.persistence.database import Database
from chassis.security.access import administrator, anyone
from chassis.web.requests import CallerRequest
from users.domain.signing_key import RotationSchedule
from users.http.schemas import NextKey, PublicKeys
from users.key_encryption import KeyEncryption
from users.key_ring import KeyRing
from users.rotate_signing_keys import rotate_signing_keys


def routes(
    database: Database, encryption: KeyEncryption, key_ring: KeyRing, schedule: RotationSchedule
) -> list[HTTPRouteHandler]:
    @get("/.well-known/jwks.json", guards=[anyone], sync_to_thread=False, summary="The public signing keys (JWKS)")
    def show_keys() -> Response[PublicKeys]:
        return Response(PublicKeys.of(key_ring.jwks()), headers={"cache-control": "public, max-age=60"})

    @post("/auth/keys/rotate", guards=[administrator], status_code=202, summary="Publish the next signing key")
    async def rotate_keys(request: CallerRequest) -> NextKey:
        await rotate_signing_keys(database, encryption, schedule, request.user)
        await key_ring.reload()
        assert key_ring.newest is not None, "there is one since the start"
        return NextKey.of(key_ring.newest)

    return [show_keys, rotate_keys]
