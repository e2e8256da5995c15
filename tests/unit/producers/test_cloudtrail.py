"""The CloudTrail mapper: who, what and with which result, from every form of identity."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from producers.cloudtrail import action_name, from_cloudtrail
from producers.file import cloudtrail, read_lines
from schemas.catalogue import category_of
from schemas.errors import BadEvent
from schemas.event import decode
from schemas.topics import EVENT_BYTES_MAX

DATA = Path(__file__).parents[4] / "shared/data/cloudtrail/invictus-aws-2023-07-10.jsonl.gz"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"


def original(**fields: Any) -> dict[str, Any]:
    return {
        "userIdentity": {"type": "IAMUser", "userName": "ann", "accessKeyId": KEY_ID},
        "eventTime": "2023-07-10T11:42:18Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetBucketPolicy",
        "eventID": "e-1",
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "[Boto3/1.26]",
        "requestParameters": {"bucketName": "ledger"},
    } | fields


def test_event_is_mapped() -> None:
    event = from_cloudtrail(original())

    assert event.pop("details")["cloudtrail"] == original()
    assert event.pop("session_id").startswith("aws-")
    assert event == {
        "timestamp": "2023-07-10T11:42:18Z",
        "user": "ann",
        "action": "aws.s3.get_bucket_policy",
        "event_id": "e-1",
        "ip_address": "192.0.2.7",
        "user_agent": "Boto3/1.26",
        "resource": "s3_bucket",
        "resource_id": "ledger",
        "result": "success",
        "source": "s3.amazonaws.com",
    }


ROLE_ARN = "arn:aws:sts::1:assumed-role/deploy/ci-7"


@pytest.mark.parametrize(
    ("identity", "user", "role"),
    [
        ({"type": "IAMUser", "userName": "ann"}, "ann", None),
        ({"type": "Root", "accountId": "1"}, "root", "root"),
        (
            {
                "type": "AssumedRole",
                "arn": ROLE_ARN,
                "sessionContext": {"sessionIssuer": {"userName": "deploy"}},
            },
            "deploy/ci-7",
            "deploy",
        ),
        ({"type": "AssumedRole", "arn": ROLE_ARN}, "deploy/ci-7", "deploy"),
        ({"type": "AssumedRole", "principalId": "AROA:ci-7"}, "ci-7", None),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", None),
        ({"type": "AWSAccount", "accountId": "42", "principalId": "AIDA"}, "AIDA", None),
        ({"type": "WebIdentityUser", "userName": "gh", "principalId": "x:y"}, "gh", None),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}}, "u-1", None),
        ({"accountId": "42", "invokedBy": "rds.amazonaws.com"}, "rds.amazonaws.com", None),
        ({}, "s3.amazonaws.com", None),
        (None, "s3.amazonaws.com", None),
    ],
)
def test_every_form_of_identity_names_a_user(
    identity: dict[str, Any] | None, user: str, role: str | None
) -> None:
    event = from_cloudtrail(original(userIdentity=identity))
    assert (event["user"], event.get("role")) == (user, role)


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({}, "success"),
        ({"errorCode": "AccessDenied"}, "denied"),
        ({"errorCode": "Client.UnauthorizedOperation"}, "denied"),
        ({"errorCode": "NoSuchBucketPolicy"}, "failure"),
        ({"errorCode": "ThrottlingException"}, "error"),
        ({"responseElements": {"ConsoleLogin": "Failure"}}, "failure"),
        ({"errorMessage": "Failed authentication"}, "failure"),
    ],
)
def test_result_is_read_from_the_error(fields: dict[str, Any], result: str) -> None:
    assert from_cloudtrail(original(**fields))["result"] == result


@pytest.mark.parametrize(
    ("source", "name", "action"),
    [
        ("s3.amazonaws.com", "GetObject", "aws.s3.get_object"),
        ("signin.amazonaws.com", "ConsoleLogin", "aws.signin.console_login"),
        ("rds.amazonaws.com", "ModifyDBInstance", "aws.rds.modify_db_instance"),
        ("lambda.amazonaws.com", "GetFunction20150331v2", "aws.lambda.get_function"),
        ("iam.amazonaws.com", "ListSSHPublicKeys", "aws.iam.list_ssh_public_keys"),
        ("", "", "aws.unknown.unknown"),
        ("é.com", "Ünï-cødé!", "aws.unknown.n_-c_d"),
    ],
)
def test_name_of_the_call_becomes_an_action(source: str, name: str, action: str) -> None:
    assert action_name(source, name) == action


@pytest.mark.parametrize(
    ("name", "asked", "answered", "change"),
    [
        ("GetObject", {"a": 1}, {}, {}),
        (
            "StopInstances",
            {},
            {
                "instancesSet": {
                    "items": [
                        {
                            "instanceId": "i-1",
                            "previousState": {"name": "running"},
                            "currentState": {"name": "stopping"},
                        }
                    ]
                }
            },
            {"before": {"i-1": "running"}, "after": {"i-1": "stopping"}},
        ),
        (
            "UpdateUser",
            {"userName": "a", "newUserName": "b"},
            {},
            {"before": {"userName": "a"}, "after": {"userName": "b"}},
        ),
        (
            "ModifySnapshotAttribute",
            {"createVolumePermission": {"add": {"items": [{"userId": "1"}]}}},
            {},
            {"after": {"items": [{"userId": "1"}]}},
        ),
        ("PutRolePolicy", {"policyDocument": "{}"}, {}, {"after": "{}"}),
        ("RevokeSecurityGroupIngress", {"ipPermissions": {"x": 1}}, {}, {"before": {"x": 1}}),
        ("PutSecretValue", {"secretString": "x"}, {}, {}),
    ],
)
def test_change_is_read_where_the_call_tells(
    name: str, asked: dict[str, Any], answered: dict[str, Any], change: dict[str, Any]
) -> None:
    details = from_cloudtrail(
        original(eventName=name, requestParameters=asked, responseElements=answered)
    )["details"]
    assert {side: details[side] for side in ("before", "after") if side in details} == change


def test_secrets_are_masked_and_the_rest_of_the_original_is_kept() -> None:
    credentials = {"accessKeyId": KEY_ID, "sessionToken": "abc", "expiration": "soon"}
    message = cloudtrail(orjson.dumps(original(responseElements={"credentials": credentials})))

    assert KEY_ID.encode() not in message.value
    kept = decode(message.value)["details"]["cloudtrail"]
    assert kept["responseElements"]["credentials"]["sessionToken"] == "***"
    assert kept["requestParameters"] == {"bucketName": "ledger"}


def test_event_too_large_is_trimmed_and_says_so() -> None:
    parameters = {"bucketName": "ledger", "bucketPolicy": "x" * EVENT_BYTES_MAX}
    big = original(eventName="PutBucketPolicy", requestParameters=parameters)
    message = cloudtrail(orjson.dumps(big))

    details = decode(message.value)["details"]
    assert details["trimmed"] == ["requestParameters"]
    assert details["cloudtrail"]["requestParameters"]["trimmed_bytes"] > EVENT_BYTES_MAX
    assert message == cloudtrail(orjson.dumps(big))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "message:not_json"),
        (b"[]", "message:not_object"),
        (b"{}", "eventName:missing"),
        (b'{"eventName":"X"}', "eventTime:missing"),
    ],
)
def test_what_is_no_cloudtrail_event_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(BadEvent) as caught:
        from_cloudtrail(raw)
    assert caught.value.reason == reason


@pytest.mark.skipif(not DATA.exists(), reason="the shared CloudTrail data is not on this machine")
def test_all_real_events_are_mapped_and_filed() -> None:
    with DATA.open("rb") as stream:
        fields = [decode(cloudtrail(line.raw).value) for line in read_lines(stream)]

    assert len(fields) == 2_900
    assert len({event["event_id"] for event in fields}) == 2_900
    assert "other" not in {category_of(event["action"]) for event in fields}
    assert all(event["details"]["cloudtrail"]["eventName"] for event in fields)
