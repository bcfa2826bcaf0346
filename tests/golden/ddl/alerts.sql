CREATE TABLE IF NOT EXISTS `alerts`
(
    `alert_id` String COMMENT '32 hexadecimal digits, the same however often the alert is made',
    `event_time` DateTime64(6, 'UTC') COMMENT 'Event time of the row that completed the match' CODEC(Delta, ZSTD),
    `alert_created` DateTime64(6, 'UTC') COMMENT 'When the collector raised it' CODEC(Delta, ZSTD),
    `alert_delay` UInt64 ALIAS toUInt64(greatest(0, toUnixTimestamp64Micro(alert_created) - toUnixTimestamp64Micro(event_time))) COMMENT 'Event to alert, microseconds',
    `rule_id` LowCardinality(String) COMMENT 'UUID of the rule',
    `rule_name` LowCardinality(String) COMMENT 'Title of the rule in English',
    `rule_name_vi` LowCardinality(String) COMMENT 'Title of the rule in Vietnamese',
    `rule_level` LowCardinality(String) COMMENT 'informational, low, medium, high, critical (Sigma)',
    `rule_kind` LowCardinality(String) COMMENT 'event, correlation or query',
    `threat_technique_id` Array(String) COMMENT 'MITRE ATT&CK techniques',
    `threat_tactic_name` Array(String) COMMENT 'MITRE ATT&CK tactics',
    `source_ip` IPv6 COMMENT 'Originator, where the evidence has one',
    `destination_ip` IPv6 COMMENT 'Responder, where the evidence has one',
    `user_name` LowCardinality(String) COMMENT 'User, where the evidence has one',
    `evidence` String COMMENT 'The columns that say why, as one JSON object',
    `evidence_ids` Array(String) COMMENT 'Rows behind the alert: table/agent_id/boot_id/stream/sequence',
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate',
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it',
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool',
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot',
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (alert_id)
TTL toDateTime(collector_time) + toIntervalDay(365)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per alert. The id is a hash of the rule and its evidence, so that making an alert twice makes one'
