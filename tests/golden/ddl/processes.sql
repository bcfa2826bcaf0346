CREATE TABLE IF NOT EXISTS `processes`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD),
    `event_action` LowCardinality(String) COMMENT 'exec or exit',
    `event_source` LowCardinality(String) COMMENT 'How the agent knows: ebpf, cn_proc, proc',
    `process_pid` UInt32 COMMENT 'Process id in the agent\'s pid namespace',
    `process_entity_id` UInt64 COMMENT 'Identity of the process: 8 bytes of SHA-1 over boot id, pid and clock ticks to its start; 0 if unknown',
    `process_start` DateTime64(6, 'UTC') COMMENT 'When the process was created' CODEC(Delta, ZSTD),
    `process_name` LowCardinality(String) COMMENT 'Command name (comm, 15 bytes)',
    `process_executable` LowCardinality(String) COMMENT 'Path of the executable',
    `process_command_line` String COMMENT 'Arguments joined by spaces',
    `process_working_directory` LowCardinality(String) COMMENT 'Working directory',
    `process_parent_pid` UInt32 COMMENT 'Process id of the parent',
    `process_parent_entity_id` UInt64 COMMENT 'Identity of the parent',
    `process_parent_name` LowCardinality(String) COMMENT 'Command name of the parent',
    `process_parent_executable` LowCardinality(String) COMMENT 'Executable of the parent',
    `process_parent_command_line` String COMMENT 'Command line of the parent',
    `user_id` UInt32 COMMENT 'Real user id; 4294967295 if unknown, see process_oddities',
    `user_name` LowCardinality(String) COMMENT 'Name of the real user on this host',
    `user_effective_id` UInt32 COMMENT 'Effective user id',
    `group_id` UInt32 COMMENT 'Real group id',
    `user_audit_id` UInt32 COMMENT 'Login user id (audit_loginuid); 4294967295 when never set',
    `process_cgroup_id` UInt64 COMMENT 'cgroup v2 id',
    `process_exit_code` Int32 COMMENT 'Exit status of an exit event; minus the signal number if killed by one',
    `process_lifetime` UInt64 COMMENT 'Creation to exit, microseconds; 0 on exec' CODEC(T64, ZSTD),
    `process_oddities` LowCardinality(String) COMMENT 'What is missing: args_truncated, exe_unknown, args_unknown, parent_unknown, user_unknown; space-separated',
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
COMMENT 'One row per process event: exec and exit'
