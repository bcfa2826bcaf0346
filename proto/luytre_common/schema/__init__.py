"""The column table: every column of Lũy Tre once.

The core's row builders (`agent/core/src/schema.rs`), the ClickHouse DDL, the inserts, the Sigma field map and
`proto/SCHEMA.md` derive from `TABLES`. To add a column: one `Column` in the table's file here, `make proto`, and one
line where it is produced. Columns are added, never renamed, retyped or given another meaning.
"""

from __future__ import annotations

from luytre_common.schema.alerts import ALERTS
from luytre_common.schema.files import FILES
from luytre_common.schema.health import AGENT_HEALTH, COLLECTOR_HEALTH
from luytre_common.schema.host import PROCESSES
from luytre_common.schema.ledger import LEDGER
from luytre_common.schema.logins import LOGINS
from luytre_common.schema.model import COMMON, Column, Kind, Maker, Table
from luytre_common.schema.network import DNS, FLOWS, TLS
from luytre_common.schema.policy import POLICY_REPORTS
from luytre_common.schema.quarantine import QUARANTINE
from luytre_common.schema.registers import AGENTS, ORGANISATIONS, SYSTEMS
from luytre_common.schema.sockets import SOCKETS
from luytre_common.schema.state import INVENTORY, NETWORK_CHANGES

#: Every table of numbered rows, by name, in the order in which the documentation shows them.
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        FLOWS,
        DNS,
        TLS,
        PROCESSES,
        SOCKETS,
        LOGINS,
        FILES,
        NETWORK_CHANGES,
        INVENTORY,
        LEDGER,
        AGENT_HEALTH,
        COLLECTOR_HEALTH,
        ALERTS,
        POLICY_REPORTS,
        QUARANTINE,
    )
}

#: The tables whose rows come from agents, over the wire.
WIRE_TABLES: dict[str, Table] = {name: table for name, table in TABLES.items() if table.from_agent}

#: The registers: what is known now of organisations, systems and agents, one row each.
REGISTERS: dict[str, Table] = {table.name: table for table in (ORGANISATIONS, SYSTEMS, AGENTS)}

#: Every table that a store has for the schema.
STORED_TABLES: dict[str, Table] = {**TABLES, **REGISTERS}

__all__ = ["COMMON", "REGISTERS", "STORED_TABLES", "TABLES", "WIRE_TABLES", "Column", "Kind", "Maker", "Table"]
