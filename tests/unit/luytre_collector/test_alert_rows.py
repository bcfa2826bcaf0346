"""Alerts as rows."""

import json

import pyarrow as pa
from luytre_collector.alert_rows import alert_rows
from luytre_collector.columns import stored_schema
from luytre_common.schema import TABLES

from tests.support.alerts import alert


def test_every_column_of_the_table() -> None:
    made = alert_rows([alert(1, evidence={"text": "Huế", "address": b"\1"}), alert(2, agent_id="")])
    made.validate(full=True)
    assert made.schema == stored_schema(TABLES["alerts"])
    row = made.slice(0, 1).to_pylist()[0]
    assert json.loads(row["evidence"]) == {"text": "Huế", "address": "b'\\x01'"}
    assert row["threat_technique_id"] == ["T1059.004"]
    assert row["source_ip"] == alert().source_ip
    assert (row["agent_id"], row["stream"], row["sequence"]) == ("web-01", "alerts", 0)
    assert made.column("collector_time").cast(pa.int64()).to_pylist() == [alert().alert_created] * 2
