"""Laws of the CloudTrail mapper: whatever the fields hold, the result fits the event's schema."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from producers.cloudtrail import from_cloudtrail
from producers.file import cloudtrail
from schemas.catalogue import category_of, result_of, verb_of
from schemas.errors import BadEvent
from schemas.event import decode

WORDS = st.sampled_from(
    ["IAMUser", "AssumedRole", "Root", "arn:aws:sts::1:assumed-role/r/s", "a/b", "/", "::1",
     "AccessDenied", "PutBucketPolicy", "Failure", "s3.amazonaws.com", ""]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "arn", "userName", "sessionContext", "sessionIssuer", "items", "ARN",
             "instancesSet", "previousState", "currentState", "newUserName", "bucketName", "new"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip
NAMES = (
    "userIdentity", "eventSource", "sourceIPAddress", "userAgent", "errorCode", "errorMessage",
    "requestParameters", "responseElements", "resources", "readOnly", "awsRegion", "eventID",
    "requestID", "recipientAccountId",
)  # fmt: skip
ORIGINALS = st.fixed_dictionaries(
    {"eventName": st.text(min_size=1, max_size=200), "eventTime": st.just("2023-07-10T11:42:18Z")},
    optional=dict.fromkeys(NAMES, VALUES),
)


@given(ORIGINALS)
def test_whatever_the_fields_hold_the_result_is_an_event(original: dict[str, Any]) -> None:
    event = from_cloudtrail(original)
    assert event["details"]["cloudtrail"] == original
    fields = decode(cloudtrail(orjson.dumps(original)).value)
    assert category_of(fields["action"]) != "other"


@given(st.binary(max_size=100))
def test_any_bytes_are_mapped_or_refused(raw: bytes) -> None:
    try:
        cloudtrail(raw)
    except BadEvent as error:
        assert ":" in error.reason  # noqa: PT017 - total: nothing else may come out


@given(st.text(max_size=60))
def test_any_action_whatever_is_filed(action: str) -> None:
    assert category_of(action)
    assert result_of(action) in {"success", "failure", "denied", "error", "unknown"}
    assert isinstance(verb_of(action), str)
