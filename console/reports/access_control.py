"""Access control: logins, second factors, rights, administrators, accounts. Pure.

Evidence for SOC 2 CC6 and ISO/IEC 27001:2022 Annex A.5 and A.8; what concerns the log itself and
what was done about alerts is in access_control_log.py.
"""

from collections.abc import Sequence
from typing import Final

from console.query.write import and_, term
from console.reports.part import (
    DAY_US,
    DORMANT_DAYS,
    ROWS_MAX,
    Answers,
    Part,
    Scope,
    at,
    change,
    event_query,
    event_table,
    figure,
    newest,
    one,
    select,
    table,
)
from console.search.moment import rfc3339, store_text
from console.search.rendering import Row
from schemas.report import Cell, Figure, ReportSection

IS_LOGIN: Final = "(category = 'authentication' AND match(action, 'log_?in|sign_?in'))"
LOGINS: Final = "category:authentication action:(*login* OR *signin*)"
IS_ADMIN: Final = (
    "(?i)(^|[^a-z0-9])(admins?|administrators?|root|superuser|superadmin|sysadmin|owner)"
    "([^a-z0-9]|$)"
)
# Most details name nobody, which the raw bytes tell without being parsed.
_APPROVED: Final = (
    "if(multiSearchAny(raw, ['approve', 'approval', 'ticket']), "
    "arrayFirst(x -> x != '', arrayMap(k -> JSONExtractString(details, k), "
    "['approved_by', 'approver', 'approval', 'ticket', 'change_ticket'])), '')"
)
_TARGET: Final = (
    "if(JSONExtractString(details, 'target_user') != '', "
    "JSONExtractString(details, 'target_user'), resource_id)"
)
_RIGHTS: Final = "category = 'permission' AND verb NOT IN ('access', 'deny', 'view', 'read')"


def parts(scope: Scope) -> Sequence[Part]:
    """Return the sections on people and their rights, in order."""
    return (_logins(scope), _factors(scope), _rights(scope), _admins(scope), _accounts(scope))


def _logins(scope: Scope) -> Part:
    found = scope.found.also(IS_LOGIN)
    counts = (
        "countIf(result = 'success') AS ok, countIf(result = 'failure') AS failed, "
        "countIf(result IN ('denied', 'error')) AS denied, uniqExact(user) AS people"
    )
    by_user = f"user AS who, {counts}, uniq(ip_address) AS addresses, count() OVER () AS total"

    def section(answers: Answers) -> ReportSection:
        sums = one(answers["sums"])
        return ReportSection(
            name="logins",
            title="Logins and failed logins",
            controls=("SOC 2 CC6.1", "SOC 2 CC6.6", "ISO 27001 A.5.17", "ISO 27001 A.8.5"),
            says="Who signed in, and whose attempts failed or were denied by policy.",
            figures=(
                figure("Logins", sums, "ok", scope.q(LOGINS, "result:success")),
                figure("Failed", sums, "failed", scope.q(LOGINS, "result:failure")),
                figure("Denied", sums, "denied", scope.q(LOGINS, "result:(denied OR error)")),
                figure("Accounts", sums, "people", scope.q(LOGINS)),
            ),
            tables=(
                table(
                    "By account, the most failures first",
                    ("Account", "Logins", "Failed", "Denied", "Addresses"),
                    answers["by_user"],
                    lambda row: (
                        row["who"],
                        row["ok"],
                        row["failed"],
                        row["denied"],
                        row["addresses"],
                    ),
                    lambda row: scope.q(LOGINS, term("user", row["who"])),
                ),
            ),
        )

    tail = "GROUP BY user ORDER BY failed + denied DESC, ok DESC, who"
    return Part({"sums": select(counts, found), "by_user": select(by_user, found, tail)}, section)


def _factors(scope: Scope) -> Part:
    sums = select(
        "countIf(action = 'authentication.mfa.success') AS accepted, "
        "countIf(action = 'authentication.mfa.failed') AS refused, "
        "countIf(startsWith(action, 'security.mfa.')) AS changed_n",
        scope.found.also("category IN ('authentication', 'security')"),
    )
    named = select(
        "countIf(JSONExtractBool(details, 'mfa')) AS with_factor, "
        "countIf(JSONHas(details, 'mfa') AND NOT JSONExtractBool(details, 'mfa')) AS without",
        scope.found.also(IS_LOGIN).also("result = 'success' AND position(raw, '\"mfa\"') > 0"),
    )
    off = newest(scope.found.also("startsWith(action, 'security.mfa.')"))

    def section(answers: Answers) -> ReportSection:
        found, said = one(answers["sums"]), one(answers["named"])
        return ReportSection(
            name="mfa",
            title="Second factors",
            controls=("SOC 2 CC6.1", "ISO 27001 A.8.5"),
            says="Whether second factors were used, refused, or switched off.",
            figures=(
                figure("Accepted", found, "accepted", scope.q("action:authentication.mfa.success")),
                figure("Refused", found, "refused", scope.q("action:authentication.mfa.failed")),
                figure(
                    "Logins that say: with one",
                    said,
                    "with_factor",
                    scope.q(LOGINS, "result:success details.mfa:true"),
                ),
                figure(
                    "Logins that say: without",
                    said,
                    "without",
                    scope.q(LOGINS, "result:success details.mfa:false"),
                ),
            ),
            tables=(event_table("Second factors switched on or off", answers["off"]),),
        )

    return Part({"sums": sums, "named": named, "off": off}, section)


def _rights(scope: Scope) -> Part:
    found = scope.found.also(_RIGHTS)
    sums = select(
        "count() AS changes, countIf(verb = 'grant') AS granted, "
        f"countIf(verb = 'revoke') AS revoked, countIf({_APPROVED} = '') AS unapproved",
        found.also("result NOT IN ('failure', 'denied', 'error')"),
    )
    listed = newest(found, f"{_APPROVED} AS approved, {_TARGET} AS target")
    q = "category:permission -action:*access*"

    def cells(row: Row) -> tuple[Cell, ...]:
        return (
            at(row["occurred_us"]),
            row["user"],
            row["action"],
            row["result_name"],
            row["target"],
            change(row),
            row["approved"],
            row["why"],
        )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="rights",
            title="Changes of roles and permissions",
            controls=(
                "SOC 2 CC6.2",
                "SOC 2 CC6.3",
                "ISO 27001 A.5.15",
                "ISO 27001 A.5.18",
            ),
            says=(
                "Who gave and took which rights, and who approved it: the event's approved_by, "
                "approver or ticket."
            ),
            figures=(
                figure("Changes", found, "changes", scope.q(q)),
                figure("Granted", found, "granted", scope.q("category:permission verb:grant")),
                figure("Revoked", found, "revoked", scope.q("category:permission verb:revoke")),
                figure(
                    "Name nobody who approved",
                    found,
                    "unapproved",
                    scope.q(q, "-has:details.approved_by -has:details.ticket"),
                ),
            ),
            tables=(
                table(
                    "Changes, newest first",
                    ("Time (UTC)", "By", "Action", "Result", "For", "Change", "Approved", "Reason"),
                    answers["listed"],
                    cells,
                    event_query,
                ),
            ),
        )

    return Part({"sums": sums, "listed": listed}, section)


def _admins(scope: Scope) -> Part:
    acting = select(
        "user AS who, groupUniqArray(3)(toString(role)) AS roles, count() AS events, "
        "countIf(notEmpty(changed)) AS changes, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        scope.found.also("match(role, {admin:String})", admin=IS_ADMIN),
        "GROUP BY user ORDER BY events DESC, who",
    )
    made = newest(
        scope.found.also(
            "category = 'permission' AND result NOT IN ('failure', 'denied', 'error') AND "
            "verb != 'revoke' AND (arrayExists(x -> match(x, {admin:String}), after) "
            "OR match(JSONExtractString(details, 'role'), {admin:String}))",
            admin=IS_ADMIN,
        )
    )

    def section(answers: Answers) -> ReportSection:
        acting_rows, made_rows = answers["acting"], answers["made"]
        return ReportSection(
            name="administrators",
            title="Administrators",
            controls=("SOC 2 CC6.3", "ISO 27001 A.8.2", "ISO 27001 A.8.18"),
            says="Who acted with the role of an administrator, and who was made one.",
            figures=(
                _size("Acted as administrator", acting_rows),
                _size("Made administrator", made_rows),
            ),
            tables=(
                table(
                    "Accounts that acted as administrator",
                    ("Account", "Roles", "Events", "Changes", "Last (UTC)"),
                    acting_rows,
                    lambda row: (
                        row["who"],
                        ", ".join(row["roles"]),
                        row["events"],
                        row["changes"],
                        at(row["last_us"]),
                    ),
                    lambda row: scope.q(term("user", row["who"])),
                ),
                event_table("Administrator roles granted", made_rows),
            ),
        )

    return Part({"acting": acting, "made": made}, section)


def _accounts(scope: Scope) -> Part:
    since = store_text(scope.until_us - DORMANT_DAYS * DAY_US)
    dormant = select(
        "user AS who, any(role) AS a_role, count() AS events, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        scope.ever,
        "GROUP BY user HAVING max(occurred) < {dormant:DateTime64(6, 'UTC')} ORDER BY last_us, who",
    )
    dormant = dormant._replace(parameters={**dormant.parameters, "dormant": since})
    gone = select(
        "user AS who, any(user_status) AS status, count() AS events, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        scope.found.also("has(flags, 'inactive_user')"),
        "GROUP BY user ORDER BY events DESC, who",
    )

    def section(answers: Answers) -> ReportSection:
        return ReportSection(
            name="accounts",
            title="Dormant accounts, and accounts of people who have left",
            controls=("SOC 2 CC6.2", "SOC 2 CC6.3", "ISO 27001 A.5.16", "ISO 27001 A.5.18"),
            says=(
                f"Accounts without a deed in the {DORMANT_DAYS} days before the end of the "
                "period, and those that acted though the directory calls them inactive. An "
                "account that never acted is not in the log: compare with the directory."
            ),
            figures=(
                _size("Dormant accounts", answers["dormant"]),
                _size("Inactive accounts that acted", answers["gone"]),
            ),
            tables=(
                table(
                    f"Dormant for {DORMANT_DAYS} days and more",
                    ("Account", "Role", "Events", "Last (UTC)"),
                    answers["dormant"],
                    lambda row: (row["who"], row["a_role"], row["events"], at(row["last_us"])),
                    lambda row: and_(
                        term("user", row["who"]), term("until", rfc3339(scope.until_us))
                    ),
                ),
                table(
                    "Inactive in the directory, and acted",
                    ("Account", "Status", "Events", "Last (UTC)"),
                    answers["gone"],
                    lambda row: (row["who"], row["status"], row["events"], at(row["last_us"])),
                    lambda row: scope.q("flag:inactive_user", term("user", row["who"])),
                ),
            ),
        )

    return Part({"dormant": dormant, "gone": gone}, section)


def _size(name: str, rows: Sequence[Row] | None) -> Figure:
    if rows is None:
        return figure(name, None, "", None)
    if len(rows) > ROWS_MAX:
        return Figure(name=name, value=ROWS_MAX, note="and more")
    return Figure(name=name, value=rows[0].get("total", len(rows)) if rows else 0)
