from __future__ import annotations

import io
import json

from luytre_collector.detect.logsource import ROUTES
from luytre_collector.detect.reference import list_fields


def test_every_log_source_with_its_table_and_fields() -> None:
    out = io.StringIO()
    assert list_fields(out=out) == 0
    text = out.getvalue()
    assert (
        "product: linux, service: auditd\n    table processes; event_action: exec\n    type: SYSCALL | EXECVE" in text
    )
    assert "\ntable processes\n" in text
    assert "\n    process_executable  Image, exe, name, SourceImage\n" in text
    assert "\n    process_args  a0...\n" in text
    assert "dns.question" not in text, "the form with dots is a rule, not a list"


def test_for_programs() -> None:
    out = io.StringIO()
    assert list_fields(json=True, out=out) == 0
    told = json.loads(out.getvalue())
    assert len(told["logsources"]) == len(ROUTES)
    assert set(told["tables"]) == {route.table for route in ROUTES}
    initiated = [one["words"]["Initiated"] for one in told["logsources"] if one["words"].get("Initiated")]
    assert initiated == [["true", "false"], ["true"]]
