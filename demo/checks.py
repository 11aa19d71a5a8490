"""The end of the story: what the ledger, the live data, the quarantine and the report say, held against each other.

Nothing here asks Perch whether all went well. The ledger is the customers' own, the live rows are read with SQL; only
the quarantine and the report, which has the time requests were held, are Perch's words.
"""

import dataclasses
import re

# What the shop's bad version answers where it is broken, and only there.
BUG = "KeyError: 'garden'"
GOOD = {"1.0", "1.1"}
BAD = "1.2"

# Of orders whose total is not the sum of their lines.
CORRUPT = """
    SELECT count(*) FROM orders
    WHERE total IS DISTINCT FROM (
        SELECT sum(quantity * unit_price) FROM order_lines WHERE order_id = orders.id
    )
"""
LIVE = """
    SELECT id::text, total, placed_by, coalesce(
        (SELECT json_agg(json_build_array(product_id, quantity)) FROM order_lines WHERE order_id = orders.id), '[]')
    FROM orders
"""


@dataclasses.dataclass
class Order:
    total: int
    placed_by: str
    # (product, quantity), sorted.
    lines: list


@dataclasses.dataclass
class Evidence:
    """All that is known when the traffic has stopped."""

    entries: list  # traffic.Entry
    live: dict  # order id -> Order
    corrupt: int
    quarantine: list  # of the bad release, as `perch quarantine list --output json` says
    report: dict  # of the bad release, as `perch report --format json` says
    bad_commit: str
    longest_hold: float  # seconds the policy allows


@dataclasses.dataclass
class Check:
    name: str
    value: str
    holds: bool
    details: list = dataclasses.field(default_factory=list)


def read_live(connection):
    """Returns live orders by id, and how many are corrupt, both of one moment."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(LIVE)
        live = {
            number: Order(total, placed_by, sorted(map(tuple, lines))) for number, total, placed_by, lines in cursor
        }
        cursor.execute(CORRUPT)
        return live, cursor.fetchone()[0]


def judge(evidence):
    """One check for each line of the final table."""
    return [
        requests_sent(evidence),
        failed_because_of_perch(evidence),
        stable_writes_kept(evidence),
        canary_writes_quarantined(evidence),
        corrupt_rows_left(evidence),
        commit_named(evidence),
        first_bad_to_share_zero(evidence),
        held(evidence),
    ]


def requests_sent(evidence):
    """Enough to mean something: every version answered, and the bad one did both kinds of harm."""
    entries = evidence.entries
    by_version = {version: sum(entry.version == version for entry in entries) for version in sorted(GOOD | {BAD})}
    bad = [entry for entry in entries if entry.version == BAD and entry.is_bad]
    missing = [f"no request was answered by {version}" for version, count in by_version.items() if count == 0]
    if not any(entry.status == 500 for entry in bad):
        missing.append(f"{BAD} never failed")
    if not any(entry.is_acknowledged_write for entry in bad):
        missing.append(f"{BAD} never wrote a wrong total")
    note = ", ".join(f"{count} answered by {version}" for version, count in by_version.items())
    return Check("requests sent", f"{len(entries)} ({note})", not missing, missing)


def blames_perch(entry, bad_orders):
    """Why this request's outcome is Perch's fault; None when it is not.

    The shop marks every answer it makes, never fails in its good versions, and fails in one known way in the bad one.
    """
    if entry.status is None or entry.version is None:
        return f"no answer from the shop: {entry.status or ''} {entry.problem}".replace("  ", " ")
    if entry.status >= 500:
        is_the_bug = entry.version == BAD and entry.status == 500 and entry.problem == BUG
        return None if is_the_bug else f"{entry.status} by {entry.version}: {entry.problem}"
    if entry.status == 404 and entry.path.rpartition("/")[2] in bad_orders:
        return None  # the order was taken back
    if entry.status >= 400:
        return f"{entry.status} by {entry.version}"
    return None


def failed_because_of_perch(evidence):
    bad_orders = {entry.order for entry in _acknowledged(evidence, {BAD})}
    faults = []
    for entry in evidence.entries:
        reason = blames_perch(entry, bad_orders)
        if reason:
            faults.append(f"{entry.method} {entry.path}: {reason}")
    return Check("failed because of Perch", str(len(faults)), not faults, faults)


def stable_writes_kept(evidence):
    """Each is in live once with what was ordered at its price, or set aside where a person can find it."""
    set_aside = _quarantined_orders(evidence, "stable")
    writes = _acknowledged(evidence, GOOD)
    kept, aside, lost = 0, 0, []
    for entry in writes:
        order = evidence.live.get(entry.order)
        if order and order.total == entry.price and order.lines == sorted(entry.wanted.items()):
            kept += 1
        elif entry.order in set_aside:
            aside += 1
        else:
            state = f"live has total {order.total}, lines {order.lines}" if order else "not in live"
            lost.append(f"order {entry.order} for {entry.price}: {state}")
    if not writes:
        lost.append("nothing was written")
    value = f"{kept} of {len(writes)}" + (f", and {aside} in quarantine" if aside else "")
    return Check("acknowledged stable writes kept", value, not lost, lost)


def canary_writes_quarantined(evidence):
    """Each is in quarantine, and nothing that the bad version wrote is in live, acknowledged or not."""
    in_quarantine = _quarantined_orders(evidence, "canary")
    writes = _acknowledged(evidence, {BAD})
    missing = [f"order {entry.order} is not in quarantine" for entry in writes if entry.order not in in_quarantine]
    caught = len(writes) - len(missing)
    left = {number for number, order in evidence.live.items() if order.placed_by == BAD}
    left |= {entry.order for entry in writes if entry.order in evidence.live}
    missing += [f"order {number} of {BAD} is in live" for number in sorted(left)]
    if not writes:
        missing.append("the canary wrote nothing")
    return Check("canary writes quarantined", f"{caught} of {len(writes)}", not missing, missing)


def corrupt_rows_left(evidence):
    details = [f"{evidence.corrupt} orders whose total is not the sum of their lines"] if evidence.corrupt else []
    return Check("corrupt rows left", str(evidence.corrupt), evidence.corrupt == 0, details)


def commit_named(evidence):
    """The first suspect is the bad commit, with file and line as evidence."""
    suspects = evidence.report["suspects"]
    if not suspects:
        return Check("commit named", "none", False, [f"the report says: {evidence.report['attribution']['reason']}"])
    named = suspects[0]["commit"]["id"]
    places = [each["place"] for each in suspects[0]["evidence"] if re.fullmatch(r".+:\d+", each["place"])]
    details = []
    if named != evidence.bad_commit:
        details.append(f"the bad commit is {evidence.bad_commit[:10]}")
    if not places:
        details.append("without file and line")
    value = " ".join([named[:10], *places[:1], f"({evidence.report['attribution']['certainty']})"])
    return Check("commit named", value, not details, details)


def first_bad_to_share_zero(evidence):
    """As customers saw it: from the first bad answer to the last request that was sent to the bad version."""
    answered = [entry for entry in evidence.entries if entry.version == BAD]
    bad = [entry.settled for entry in answered if entry.is_bad]
    if not bad:
        return Check("seconds from first bad response to share 0", "-", False, ["there was no bad response"])
    last = max(entry.sent for entry in answered)
    seconds = max(0.0, last - min(bad))
    later = sum(entry.sent > last for entry in evidence.entries)
    details = [] if later else ["the bad version answered to the end"]
    return Check("seconds from first bad response to share 0", f"{seconds:.1f}", not details, details)


def held(evidence):
    """What Perch says; beside it the longest that any customer waited for anything."""
    rollback = evidence.report["data"].get("rollback")
    if rollback is None:
        return Check("seconds of held requests", "-", False, ["the report knows of no rollback of the data"])
    seconds = rollback["requests_held_milliseconds"] / 1000
    waited = max((entry.settled - entry.sent for entry in evidence.entries), default=0.0)
    holds = seconds <= evidence.longest_hold
    value = f"{seconds:.2f} (longest any request took: {waited:.2f})"
    return Check("seconds of held requests", value, holds, [] if holds else [f"more than {evidence.longest_hold} s"])


def set_aside(evidence):
    """Stable's changes that wait for a person: table -> how many. Not a fault: both versions wrote those rows."""
    counts = {}
    for change in evidence.quarantine:
        if change["origin"] == "stable":
            counts[change["table"]] = counts.get(change["table"], 0) + 1
    return counts


def _acknowledged(evidence, versions):
    return [entry for entry in evidence.entries if entry.is_acknowledged_write and entry.version in versions]


def _quarantined_orders(evidence, origin):
    """Ids of orders that a change in quarantine wrote, by whom it came from."""
    orders = set()
    for change in evidence.quarantine:
        if change["origin"] == origin:
            row = {**(change.get("row") or {}), **change["key"]}
            table = change["table"].rpartition(".")[2].strip('"')
            if table == "orders":
                orders.add(row.get("id"))
            elif table == "order_lines":
                orders.add(row.get("order_id"))
    return orders - {None}


def table(checks):
    """The checks as text, a line each; what does not hold is explained below."""
    width = max(len(check.name) for check in checks)
    lines = [f"  {'ok ' if check.holds else 'NOT'}  {check.name:<{width}}  {check.value}" for check in checks]
    for check in checks:
        if not check.holds:
            lines.append(f"\n{check.name} does not hold:")
            lines += [f"  {detail}" for detail in check.details[:10]]
            if len(check.details) > 10:
                lines.append(f"  and {len(check.details) - 10} more")
    return "\n".join(lines)
