CREATE TABLE IF NOT EXISTS `inventory`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD),
    `event_action` LowCardinality(String) COMMENT 'snapshot, added, changed, removed' CODEC(ZSTD),
    `event_source` LowCardinality(String) COMMENT 'How the agent knows: os-release, dpkg, rpm, passwd, systemd, proc, sock_diag, sysctl, bpf, clock' CODEC(ZSTD),
    `inventory_kind` LowCardinality(String) COMMENT 'os, kernel, package, user, group, unit, timer, mount, listening_port, kernel_module, bpf_program, sysctl, clock' CODEC(ZSTD),
    `inventory_name` String COMMENT 'What it is called' CODEC(ZSTD),
    `inventory_before` String COMMENT 'How it was: key=value pairs; empty if added' CODEC(ZSTD),
    `inventory_after` String COMMENT 'How it is: key=value pairs; empty if removed' CODEC(ZSTD),
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
ORDER BY (agent_id, inventory_kind, event_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What a host consists of: a full snapshot a day, and every difference in between'
