CREATE TABLE IF NOT EXISTS `ledger`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'End of the interval; of a gap, when the rows were lost' CODEC(Delta, ZSTD),
    `ledger_boot_id` LowCardinality(String) COMMENT 'The numbering that is spoken of; the row\'s own boot_id may be a later one' CODEC(ZSTD),
    `ledger_stream` LowCardinality(String) COMMENT 'The stream that is spoken of; of packets, the interface or capture file' CODEC(ZSTD),
    `ledger_entry` LowCardinality(String) COMMENT 'packets_seen, kernel_dropped, undecoded, unsampled (of flows left out); rows_cut, rows_spooled, rows_lost, rows_sent, rows_resent, rows_acknowledged; gap: rows that had numbers and will never come; degraded: a step of the agent\'s ladder begins, restored: it ends (cause start: whatever an earlier start left, stop: the agent ended)' CODEC(ZSTD),
    `ledger_cause` LowCardinality(String) COMMENT 'Why: quota, age, disk, queue, corrupt, refused; of packets, what; of a step, the budget: cpu, memory, disk, spool, uplink' CODEC(ZSTD),
    `ledger_count` UInt64 COMMENT 'Packets or rows in this interval; the number of the step' CODEC(T64, ZSTD),
    `ledger_first_sequence` UInt64 COMMENT 'Of a gap: the number of its first row' CODEC(T64, ZSTD),
    `ledger_last_sequence` UInt64 COMMENT 'Of a gap: the number of its last row' CODEC(T64, ZSTD),
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
COMMENT 'What became of packets and rows on the agent, each interval: sums over it and the rows of the tables close the balance of an agent, a stream and an hour'
