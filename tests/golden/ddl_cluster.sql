CREATE DATABASE IF NOT EXISTS luytre ON CLUSTER `luytre`;

CREATE DATABASE IF NOT EXISTS luytre_shard ON CLUSTER `luytre`;

CREATE DATABASE IF NOT EXISTS luytre_local ON CLUSTER `luytre`;

CREATE TABLE IF NOT EXISTS luytre_shard.`schema_version` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/schema_version', '{replica}')
ORDER BY version SETTINGS fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS luytre.`schema_version` ON CLUSTER `luytre` AS luytre_shard.`schema_version`
ENGINE = Distributed(`luytre`, luytre_shard, `schema_version`, cityHash64(version));

CREATE TABLE IF NOT EXISTS luytre_shard.`flows` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/flows', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, flow_start)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`flows` ON CLUSTER `luytre` AS luytre_shard.`flows`
ENGINE = Distributed(`luytre`, luytre_shard, `flows`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`dns` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/dns', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`dns` ON CLUSTER `luytre` AS luytre_shard.`dns`
ENGINE = Distributed(`luytre`, luytre_shard, `dns`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`tls` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/tls', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`tls` ON CLUSTER `luytre` AS luytre_shard.`tls`
ENGINE = Distributed(`luytre`, luytre_shard, `tls`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`processes` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/processes', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`processes` ON CLUSTER `luytre` AS luytre_shard.`processes`
ENGINE = Distributed(`luytre`, luytre_shard, `processes`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`sockets` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/sockets', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`sockets` ON CLUSTER `luytre` AS luytre_shard.`sockets`
ENGINE = Distributed(`luytre`, luytre_shard, `sockets`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`logins` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/logins', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`logins` ON CLUSTER `luytre` AS luytre_shard.`logins`
ENGINE = Distributed(`luytre`, luytre_shard, `logins`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`files` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/files', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`files` ON CLUSTER `luytre` AS luytre_shard.`files`
ENGINE = Distributed(`luytre`, luytre_shard, `files`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`network_changes` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/network_changes', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`network_changes` ON CLUSTER `luytre` AS luytre_shard.`network_changes`
ENGINE = Distributed(`luytre`, luytre_shard, `network_changes`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`inventory` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/inventory', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, inventory_kind, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`inventory` ON CLUSTER `luytre` AS luytre_shard.`inventory`
ENGINE = Distributed(`luytre`, luytre_shard, `inventory`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`ledger` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/ledger', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`ledger` ON CLUSTER `luytre` AS luytre_shard.`ledger`
ENGINE = Distributed(`luytre`, luytre_shard, `ledger`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`agent_health` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/agent_health', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, component, counter, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`agent_health` ON CLUSTER `luytre` AS luytre_shard.`agent_health`
ENGINE = Distributed(`luytre`, luytre_shard, `agent_health`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`collector_health` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/collector_health', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, component, counter, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`collector_health` ON CLUSTER `luytre` AS luytre_shard.`collector_health`
ENGINE = Distributed(`luytre`, luytre_shard, `collector_health`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`alerts` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/luytre/{shard}/alerts', '{replica}')
PARTITION BY toYYYYMM(event_time)
ORDER BY (alert_id)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`alerts` ON CLUSTER `luytre` AS luytre_shard.`alerts`
ENGINE = Distributed(`luytre`, luytre_shard, `alerts`, cityHash64(alert_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`policy_reports` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/policy_reports', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`policy_reports` ON CLUSTER `luytre` AS luytre_shard.`policy_reports`
ENGINE = Distributed(`luytre`, luytre_shard, `policy_reports`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`quarantine` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/quarantine', '{replica}')
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, quarantine_table, collector_time)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`quarantine` ON CLUSTER `luytre` AS luytre_shard.`quarantine`
ENGINE = Distributed(`luytre`, luytre_shard, `quarantine`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`organisations` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/luytre/{shard}/organisations', '{replica}', recorded_time, removed)
ORDER BY (organisation_id)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`organisations` ON CLUSTER `luytre` AS luytre_shard.`organisations`
ENGINE = Distributed(`luytre`, luytre_shard, `organisations`, cityHash64(organisation_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`systems` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/luytre/{shard}/systems', '{replica}', recorded_time, removed)
ORDER BY (system_id)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`systems` ON CLUSTER `luytre` AS luytre_shard.`systems`
ENGINE = Distributed(`luytre`, luytre_shard, `systems`, cityHash64(system_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`agents` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/luytre/{shard}/agents', '{replica}', recorded_time)
ORDER BY (agent_id)
SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`agents` ON CLUSTER `luytre` AS luytre_shard.`agents`
ENGINE = Distributed(`luytre`, luytre_shard, `agents`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`flows_1m` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedSummingMergeTree('/clickhouse/luytre/{shard}/flows_1m', '{replica}', (rows, flows, failed_flows, source_packets, destination_packets, source_bytes, destination_bytes, source_payload_bytes, destination_payload_bytes))
PARTITION BY collector_day PRIMARY KEY (agent_id, window_start) ORDER BY (agent_id, window_start, source_ip, destination_ip, destination_port, host_name, network_transport, network_protocol, network_direction, process_executable, user_name) SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`flows_1m` ON CLUSTER `luytre` AS luytre_shard.`flows_1m`
ENGINE = Distributed(`luytre`, luytre_shard, `flows_1m`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`flows_1h` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedSummingMergeTree('/clickhouse/luytre/{shard}/flows_1h', '{replica}', (rows, flows, failed_flows, source_packets, destination_packets, source_bytes, destination_bytes, source_payload_bytes, destination_payload_bytes))
PARTITION BY collector_day PRIMARY KEY (agent_id, window_start) ORDER BY (agent_id, window_start, source_ip, destination_ip, destination_port, host_name, network_transport, network_protocol, network_direction, process_executable, user_name) SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`flows_1h` ON CLUSTER `luytre` AS luytre_shard.`flows_1h`
ENGINE = Distributed(`luytre`, luytre_shard, `flows_1h`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`first_seen` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/luytre/{shard}/first_seen', '{replica}')
ORDER BY (kind, value, agent_id) TTL toDateTime(last_time) + toIntervalDay(730) SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`first_seen` ON CLUSTER `luytre` AS luytre_shard.`first_seen`
ENGINE = Distributed(`luytre`, luytre_shard, `first_seen`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`rollup_windows` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedMergeTree('/clickhouse/luytre/{shard}/rollup_windows', '{replica}')
ORDER BY (name, window_from) TTL toDateTime(window_to) + toIntervalDay(30) SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`rollup_windows` ON CLUSTER `luytre` AS luytre_shard.`rollup_windows`
ENGINE = Distributed(`luytre`, luytre_shard, `rollup_windows`, cityHash64(name));

CREATE TABLE IF NOT EXISTS luytre_shard.`chains` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/luytre/{shard}/chains', '{replica}')
ORDER BY (agent_id, boot_id, stream) TTL toDateTime(collector_time) + toIntervalDay(90) SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`chains` ON CLUSTER `luytre` AS luytre_shard.`chains`
ENGINE = Distributed(`luytre`, luytre_shard, `chains`, cityHash64(agent_id));

CREATE TABLE IF NOT EXISTS luytre_shard.`gaps` ON CLUSTER `luytre` (...)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/luytre/{shard}/gaps', '{replica}')
ORDER BY (agent_id, boot_id, stream, first_sequence) TTL toDateTime(collector_time) + toIntervalDay(730) SETTINGS replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS luytre.`gaps` ON CLUSTER `luytre` AS luytre_shard.`gaps`
ENGINE = Distributed(`luytre`, luytre_shard, `gaps`, cityHash64(agent_id));

INSERT INTO luytre.schema_version (version) VALUES (1);
