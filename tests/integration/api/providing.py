"""What tests of logins at a provider share: its terms, and whom it knows."""

from pydantic import SecretStr

from console.people.mapping import Worth
from console.people.provider import ProviderTerms

WORTH = Worth({"soc": frozenset({"analyst"}), "audit": frozenset({"auditor", "viewer"})})
ISSUER = "https://id.example"
CLIENT = "audit-console"
JANE = {"sub": "u-1", "preferred_username": "jane", "name": "Jane Doe", "groups": ["soc", "x"]}


def terms(issuer: str, worth: Worth = WORTH) -> ProviderTerms:
    return ProviderTerms(issuer, CLIENT, worth, SecretStr("a secret & more"), name="Example")
