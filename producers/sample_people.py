"""The people, services and clients of the sample traffic: nobody real, many countries."""

from typing import Final, NamedTuple


class Person(NamedTuple):
    """One user of the platform; `addresses` are where this one works from."""

    user: str
    role: str
    department: str
    addresses: tuple[str, ...]
    agent: str
    tenant: str = "default"


_CHROME_WINDOWS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)
_CHROME_MAC: Final = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)
_FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
_SAFARI_PHONE: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)
_EDGE: Final = f"{_CHROME_WINDOWS} Edg/141.0.0.0"

# Documentation ranges, and hosts of public networks so that countries differ.
_OFFICE: Final = ("203.0.113.42", "203.0.113.43", "2001:db8:10::2a")
_US: Final = ("73.162.44.10", "24.18.220.7", "2600:1700:4a30::5")
_DE: Final = ("91.12.86.5", "84.160.12.77", "2003:e5:1f00::1b")
_GB: Final = ("81.2.69.142", "86.150.3.9", "2a00:23c6::9")
_IN: Final = ("49.36.120.4", "106.51.72.8")
_BR: Final = ("177.92.10.33", "189.6.24.100")
_CLOUD: Final = ("52.95.110.1", "34.117.59.81")

PEOPLE: Final = (
    Person("jane.doe@company.com", "supervisor", "support", (*_OFFICE, _US[0]), _CHROME_WINDOWS),
    Person("admin@company.com", "admin", "it", (_OFFICE[0], _US[1]), _CHROME_MAC),
    Person("olu.adeyemi@company.com", "agent", "support", (*_OFFICE, _GB[0]), _CHROME_WINDOWS),
    Person("mia.schmidt@company.com", "agent", "support", _DE, _FIREFOX),
    Person("li.wei@company.com", "agent", "support", _OFFICE, _EDGE),
    Person("carlos.souza@company.com", "agent", "support", _BR, _CHROME_WINDOWS),
    Person("priya.nair@company.com", "agent", "support", _IN, _CHROME_WINDOWS),
    Person("tom.evans@company.com", "supervisor", "support", (_OFFICE[1], _GB[1]), _EDGE),
    Person("sara.lind@company.com", "compliance", "compliance", (*_OFFICE, _GB[2]), _CHROME_MAC),
    Person("noah.klein@company.com", "engineer", "engineering", (_DE[1], _DE[2]), _FIREFOX),
    Person("emma.ross@company.com", "engineer", "engineering", (_US[1], _US[2]), _CHROME_MAC),
    Person("ivan.petrov@company.com", "analyst", "quality", (_OFFICE[1], _DE[0]), _EDGE),
    Person("grace.kim@company.com", "admin", "it", (_OFFICE[1], _US[0]), _CHROME_MAC),
    Person("dan.cohen@company.com", "agent", "support", (_US[2], _US[1]), _SAFARI_PHONE),
    Person("lena.fox@northclinic.org", "supervisor", "reception", _GB, _EDGE, "northclinic"),
    Person("omar.said@northclinic.org", "agent", "reception", _GB, _CHROME_WINDOWS, "northclinic"),
)

SERVICES: Final = (
    Person("svc-crm-sync", "service", "platform", _CLOUD, "dutycall-sync/3.2 python-httpx/0.28"),
    Person("svc-report-builder", "service", "platform", _CLOUD, "dutycall-reports/1.9 okhttp/5.1"),
    Person("svc-pager", "service", "platform", (_CLOUD[1],), "Go-http-client/2.0"),
)

# Whoever guesses passwords: a hosting network, a script.
INTRUDER_ADDRESSES: Final = ("185.220.101.34", "45.155.205.12", "194.26.192.77")
INTRUDER_AGENT: Final = "python-requests/2.32.5"


def directory() -> dict[str, dict[str, str]]:
    """Return who they are, in the shape of the pipeline's directory file."""
    return {
        person.user: {"role": person.role, "department": person.department, "status": "active"}
        for person in (*PEOPLE, *SERVICES)
    }
