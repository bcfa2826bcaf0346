"""The certificate authority: what it signs (`authority`), on whose request (`request`), and its books (`books`): what
it issued and what was revoked."""

from luytre_collector.pki.authority import (
    AUTHORITY_DAYS,
    AUTHORITY_NAME,
    DEFAULT_DAYS,
    Authority,
    Issued,
    Role,
    check_days,
    fingerprint,
    init_authority,
    issue,
    to_pem,
)

__all__ = [
    "AUTHORITY_DAYS",
    "AUTHORITY_NAME",
    "DEFAULT_DAYS",
    "Authority",
    "Issued",
    "Role",
    "check_days",
    "fingerprint",
    "init_authority",
    "issue",
    "to_pem",
]
