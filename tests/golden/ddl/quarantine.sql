CREATE TABLE IF NOT EXISTS `quarantine`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When it happened, as the row says' CODEC(Delta, ZSTD),
    `quarantine_table` LowCardinality(String) COMMENT 'The row\'s own table' CODEC(ZSTD),
    `quarantine_reason` LowCardinality(String) COMMENT 'ahead, behind' CODEC(ZSTD),
    `quarantine_row` String COMMENT 'The row\'s own columns as one JSON object, those left out that are zero or empty' CODEC(ZSTD),
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
ORDER BY (agent_id, quarantine_table, collector_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Rows whose event lies too far ahead of their arrival, or behind it, instead of in their own table; rules saw them. Here stream is TABLE/STREAM, and with their table\'s rows the sequences are without gaps'
