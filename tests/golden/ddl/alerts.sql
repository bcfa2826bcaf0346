CREATE TABLE IF NOT EXISTS `alerts`
(
    `alert_id` String COMMENT '32 hexadecimal digits, the same however often the alert is made' CODEC(ZSTD),
    `event_time` DateTime64(6, 'UTC') COMMENT 'Event time of the row that completed the match' CODEC(Delta, ZSTD),
    `alert_created` DateTime64(6, 'UTC') COMMENT 'When the collector raised it' CODEC(Delta, ZSTD),
    `alert_delay` UInt64 ALIAS toUInt64(greatest(0, toUnixTimestamp64Micro(alert_created) - toUnixTimestamp64Micro(event_time))) COMMENT 'Event to alert, microseconds',
    `rule_id` LowCardinality(String) COMMENT 'UUID of the rule' CODEC(ZSTD),
    `rule_name` LowCardinality(String) COMMENT 'Title of the rule in English' CODEC(ZSTD),
    `rule_name_vi` LowCardinality(String) COMMENT 'Title of the rule in Vietnamese' CODEC(ZSTD),
    `rule_level` LowCardinality(String) COMMENT 'informational, low, medium, high, critical (Sigma)' CODEC(ZSTD),
    `rule_kind` LowCardinality(String) COMMENT 'event, correlation or query' CODEC(ZSTD),
    `threat_technique_id` Array(String) COMMENT 'MITRE ATT&CK techniques' CODEC(ZSTD),
    `threat_tactic_name` Array(String) COMMENT 'MITRE ATT&CK tactics' CODEC(ZSTD),
    `source_ip` IPv6 COMMENT 'Originator, where the evidence has one' CODEC(ZSTD),
    `destination_ip` IPv6 COMMENT 'Responder, where the evidence has one' CODEC(ZSTD),
    `user_name` LowCardinality(String) COMMENT 'User, where the evidence has one' CODEC(ZSTD),
    `evidence` String COMMENT 'The columns that say why, as one JSON object' CODEC(ZSTD),
    `evidence_ids` Array(String) COMMENT 'Rows behind the alert: table/agent_id/boot_id/stream/sequence' CODEC(ZSTD),
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool' CODEC(ZSTD),
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot' CODEC(ZSTD),
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (alert_id)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per alert. The id is a hash of the rule and its evidence, so that making an alert twice makes one'
