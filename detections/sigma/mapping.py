"""Fields that rules call otherwise than the records do: one pySigma pipeline per product.

Sources: the field names of SigmaHQ's rules, and the vendors' record schemas (GCP LogEntry,
Kubernetes audit.k8s.io/v1, Azure Monitor activity and sign-in logs). A rule matches by the old
name as well, since some shippers rename the fields themselves.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation
from sigma.rule import SigmaRule

_SPEC: Final = "requestObject.spec"
_PAYLOAD: Final = "data.protoPayload"

FIELDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "gcp": {
        "gcp.audit.method_name": ("protoPayload.methodName", "gcp.audit.method_name"),
        "protoPayload.Servicename": ("protoPayload.serviceName", "protoPayload.Servicename"),
        **{
            f"{_PAYLOAD}.{name}": (f"protoPayload.{name}", f"{_PAYLOAD}.{name}")
            for name in (
                "authorizationInfo.granted",
                "authorizationInfo.permission",
                "methodName",
                "serviceName",
            )
        },
        f"{_PAYLOAD}.logName": ("logName", f"{_PAYLOAD}.logName"),
        f"{_PAYLOAD}.resource.type": ("resource.type", f"{_PAYLOAD}.resource.type"),
    },
    "kubernetes": {
        "apiGroup": ("objectRef.apiGroup", "apiGroup"),
        "hostPath": (f"{_SPEC}.volumes.hostPath.path", "hostPath"),
        "capabilities": (f"{_SPEC}.containers.securityContext.capabilities.add", "capabilities"),
    },
    "azure": {
        "Resultdescription": ("ResultDescription", "Resultdescription"),
        "Username": ("userPrincipalName", "Username"),
        "ClientApp": ("clientAppUsed", "ClientApp"),
        "Initiatedby": ("initiatedBy", "InitiatedBy", "Initiatedby"),
    },
}


@cache
def _pipeline_of(product: str) -> ProcessingPipeline:
    names: dict[str | None, str | list[str]] = {
        old: list(new) for old, new in FIELDS[product].items()
    }
    return ProcessingPipeline(items=[ProcessingItem(FieldMappingTransformation(names))])


def map_fields(rule: SigmaRule) -> None:
    """Rename the rule's fields in place, by the pipeline of its product."""
    product = (rule.logsource.product or "").lower()
    if product in FIELDS:
        _pipeline_of(product).apply(rule)


def names_of(product: str, field: str) -> tuple[str, ...]:
    """Return what a field of rules for a product is called in its records, best first."""
    return FIELDS.get(product, {}).get(field, (field,))
