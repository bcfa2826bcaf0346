CREATE TABLE IF NOT EXISTS `files`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD),
    `event_action` LowCardinality(String) COMMENT 'created, modified, moved, deleted, attributes, or seen (first snapshot)' CODEC(ZSTD),
    `event_source` LowCardinality(String) COMMENT 'How the agent knows: fanotify, inotify, scan' CODEC(ZSTD),
    `file_path` String COMMENT 'Path; invalid UTF-8 replaced' CODEC(ZSTD),
    `file_previous_path` String COMMENT 'Path before a move' CODEC(ZSTD),
    `file_type` LowCardinality(String) COMMENT 'file, dir, symlink, fifo, socket, device' CODEC(ZSTD),
    `file_inode` UInt64 COMMENT 'Inode' CODEC(T64, ZSTD),
    `file_size` UInt64 COMMENT 'Size, bytes' CODEC(T64, ZSTD),
    `file_mode` LowCardinality(String) COMMENT 'Permission bits, octal' CODEC(ZSTD),
    `file_previous_mode` LowCardinality(String) COMMENT 'Permission bits before, octal; empty if unknown' CODEC(ZSTD),
    `file_owner` LowCardinality(String) COMMENT 'Owner\'s name, or the number' CODEC(ZSTD),
    `file_group` LowCardinality(String) COMMENT 'Group\'s name, or the number' CODEC(ZSTD),
    `file_hash_sha256` LowCardinality(String) COMMENT 'SHA-256 of the content now; empty if too large, or no regular file' CODEC(ZSTD),
    `file_previous_hash_sha256` LowCardinality(String) COMMENT 'SHA-256 before; empty if unknown' CODEC(ZSTD),
    `process_pid` UInt32 COMMENT 'Process id in the agent\'s pid namespace' CODEC(T64, ZSTD),
    `process_entity_id` UInt64 COMMENT 'Identity of the process, as in table processes; 0 if unknown' CODEC(T64, ZSTD),
    `process_name` LowCardinality(String) COMMENT 'Command name of the process (comm)' CODEC(ZSTD),
    `process_executable` LowCardinality(String) COMMENT 'Executable of the process' CODEC(ZSTD),
    `process_command_line` String COMMENT 'Command line of the process, redacted' CODEC(ZSTD),
    `user_id` UInt32 COMMENT 'Real user id of the process' CODEC(T64, ZSTD),
    `user_name` LowCardinality(String) COMMENT 'Name of the user on this host' CODEC(ZSTD),
    `systemd_unit` LowCardinality(String) COMMENT 'systemd unit by the cgroup of the process' CODEC(ZSTD),
    `container_id` LowCardinality(String) COMMENT 'Container by the cgroup of the process' CODEC(ZSTD),
    `file_oddities` LowCardinality(String) COMMENT 'too_large, vanished, not_regular, process_unknown, rescan; space-separated' CODEC(ZSTD),
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool' CODEC(ZSTD),
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot' CODEC(ZSTD),
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    INDEX file_path_skip `file_path` TYPE tokenbf_v1(16384, 2, 0) GRANULARITY 1,
    INDEX file_hash_sha256_skip `file_hash_sha256` TYPE bloom_filter(0.025) GRANULARITY 1,
    INDEX process_entity_id_skip `process_entity_id` TYPE bloom_filter(0.025) GRANULARITY 1,
    PROJECTION last_sequence (SELECT agent_id, boot_id, stream, max(sequence) GROUP BY agent_id, boot_id, stream)
)
ENGINE = MergeTree
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per change of a watched file'
