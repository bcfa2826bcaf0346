CREATE TABLE IF NOT EXISTS `files`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD),
    `event_action` LowCardinality(String) COMMENT 'created, modified, moved, deleted, attributes, or seen (first snapshot)',
    `event_source` LowCardinality(String) COMMENT 'How the agent knows: fanotify, inotify, scan',
    `file_path` String COMMENT 'Path; invalid UTF-8 replaced',
    `file_previous_path` String COMMENT 'Path before a move',
    `file_type` LowCardinality(String) COMMENT 'file, dir, symlink, fifo, socket, device',
    `file_inode` UInt64 COMMENT 'Inode',
    `file_size` UInt64 COMMENT 'Size, bytes' CODEC(T64, ZSTD),
    `file_mode` LowCardinality(String) COMMENT 'Permission bits, octal',
    `file_previous_mode` LowCardinality(String) COMMENT 'Permission bits before, octal; empty if unknown',
    `file_owner` LowCardinality(String) COMMENT 'Owner\'s name, or the number',
    `file_group` LowCardinality(String) COMMENT 'Group\'s name, or the number',
    `file_hash_sha256` LowCardinality(String) COMMENT 'SHA-256 of the content now; empty if too large, or no regular file',
    `file_previous_hash_sha256` LowCardinality(String) COMMENT 'SHA-256 before; empty if unknown',
    `process_pid` UInt32 COMMENT 'Process id in the agent\'s pid namespace',
    `process_entity_id` UInt64 COMMENT 'Identity of the process, as in table processes; 0 if unknown',
    `process_name` LowCardinality(String) COMMENT 'Command name of the process (comm)',
    `process_executable` LowCardinality(String) COMMENT 'Executable of the process',
    `process_command_line` String COMMENT 'Command line of the process, redacted',
    `user_id` UInt32 COMMENT 'Real user id of the process',
    `user_name` LowCardinality(String) COMMENT 'Name of the user on this host',
    `systemd_unit` LowCardinality(String) COMMENT 'systemd unit by the cgroup of the process',
    `container_id` LowCardinality(String) COMMENT 'Container by the cgroup of the process',
    `file_oddities` LowCardinality(String) COMMENT 'too_large, vanished, not_regular, process_unknown, rescan; space-separated',
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate',
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it',
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool',
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot',
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    PROJECTION last_sequence (SELECT agent_id, boot_id, stream, max(sequence) GROUP BY agent_id, boot_id, stream)
)
ENGINE = MergeTree
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
TTL toDateTime(collector_time) + toIntervalDay(365)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row per change of a watched file'
