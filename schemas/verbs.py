"""Verbs: what was done, as the last part of an action tells it, in the infinitive."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_VERBS: Final = """
    accept access acknowledge activate add allocate allow approve archive assign assume attach audit
    authorize block call cancel change check clear close complete configure confirm connect
    copy create deactivate decline decrypt delete deny deprovision deregister describe detach
    detect disable disassociate associate disconnect download edit enable encrypt end enroll
    escalate exceed execute expire export fail flag generate get grant head import install
    invite invoke issue join launch leave link list listen lock login logout lookup merge
    modify mount move mute open pause play post promote provision publish purge put query
    reactivate rebuild receive record refresh register reject release remove rename renew
    reopen replace report request reset resolve restart restore resume retrieve revoke rotate
    route run scan schedule search send set share sign simulate start stop subscribe suspend
    sync tag tamper terminate test transfer trigger unassign unblock unlink unlock unmount
    unsubscribe untag update upload validate verify view violate withdraw write
"""
_IRREGULAR: Final = {
    "built": "build",
    "cancelled": "cancel",
    "chosen": "choose",
    "gotten": "get",
    "left": "leave",
    "logged_in": "login",
    "logged_out": "logout",
    "logon": "login",
    "logoff": "logout",
    "made": "make",
    "ran": "run",
    "read": "read",
    "sent": "send",
    "shut": "shut",
    "sign_in": "login",
    "sign_out": "logout",
    "signed_in": "login",
    "signed_out": "logout",
    "signin": "login",
    "signout": "logout",
    "console_login": "login",
    "log_in": "login",
    "log_out": "logout",
    "withdrawn": "withdraw",
    "written": "write",
    # things that an action names without saying what was done
    "mfa": "verify",
    "webhook": "deliver",
}
_VOWELS: Final = "aeiou"
# Short stems that double their last letter: stopped, tagged, got no others among _VERBS.
_DOUBLING: Final = frozenset({"stop", "tag", "untag", "flag", "submit", "permit", "run", "set"})


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ied"
    if verb in _DOUBLING:
        return f"{verb}{verb[-1]}ed"
    return f"{verb}ed"


_NO_DEEDS: Final = frozenset(
    {"blocked", "declined", "detected", "exceeded", "expired", "flagged", "received", "rejected"}
    | {"tampered", "violated", "webhook", "mfa"}
)
_INFINITIVES: Final[Mapping[str, str]] = MappingProxyType(
    {verb: verb for verb in _VERBS.split()}
    | {_past(verb): verb for verb in _VERBS.split()}
    | _IRREGULAR
)


def is_done(part: str) -> bool:
    """Say whether the part tells of a deed in the past, which therefore succeeded: `updated`.

    What merely happened, or was refused by someone, is no deed of the user: `detected`.
    """
    word = part.replace("-", "_").rpartition("_")[2]
    return word not in _NO_DEEDS and _INFINITIVES.get(word, word) != word


def infinitive(part: str) -> str:
    """Return the verb in one part of an action, else the part itself: `updated` → `update`.

    Of several words the last one counts if it is a verb in the past (`mfa_disabled`), else the
    first one that is a verb (`get_object`, `attach_role_policy`).
    """
    known = _INFINITIVES.get(part)
    if known is not None:
        return known
    words = part.replace("-", "_").split("_")
    last = _INFINITIVES.get(words[-1])
    if last is not None and last != words[-1]:
        return last
    return next((_INFINITIVES[word] for word in words if word in _INFINITIVES), part)
