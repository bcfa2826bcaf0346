CREATE TABLE IF NOT EXISTS `policy_reports`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When the collector heard of it' CODEC(Delta, ZSTD),
    `policy_version` UInt64 COMMENT 'The policy\'s version' CODEC(T64, ZSTD),
    `policy_state` LowCardinality(String) COMMENT 'trying, applied, refused, rolled_back, expired' CODEC(ZSTD),
    `policy_message` String COMMENT 'Why, or what the agent does not do of it' CODEC(ZSTD),
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool' CODEC(ZSTD),
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot' CODEC(ZSTD),
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    PROJECTION last_sequence (SELECT agent_id, boot_id, stream, max(sequence) GROUP BY agent_id, boot_id, stream)
)
ENGINE = MergeTree
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What agents say of policies; boot_id and sequence are the collector\'s'
