"""Signs the head at intervals."""

from audit.head_signer import HeadSigner
from audit.heads_file import HeadsFile
from audit.sign_head import sign_head
from chassis.lifecycle import Loop
from chassis.persistence.database import Database

SIGN_S = 60.0
"""The interval while the chain grows. Entries after the last signed head are not protected yet."""


def head_signing(database: Database, signer: HeadSigner, heads_file: HeadsFile) -> Loop:
    async def run_once() -> bool:
        await sign_head(database, signer, heads_file)
        return False

    return Loop("sign head", run_once, rest_s=SIGN_S)
