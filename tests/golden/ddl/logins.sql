CREATE TABLE IF NOT EXISTS `logins`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD),
    `event_action` LowCardinality(String) COMMENT 'login, logout, sudo, su, session_open, session_close, cron, user_added, user_changed, user_removed, group_added, group_changed, group_removed, password_changed, polkit, boot, shutdown, or other' CODEC(ZSTD),
    `event_outcome` LowCardinality(String) COMMENT 'success, failure, or empty' CODEC(ZSTD),
    `event_source` LowCardinality(String) COMMENT 'Where it was read: journald, auth_log, wtmp, btmp' CODEC(ZSTD),
    `process_name` LowCardinality(String) COMMENT 'Program that wrote it: sshd, sudo, su, login, cron and others' CODEC(ZSTD),
    `process_pid` UInt32 COMMENT 'Its process id; 0 if unknown' CODEC(T64, ZSTD),
    `user_name` LowCardinality(String) COMMENT 'User who logs in, or who uses sudo or su' CODEC(ZSTD),
    `user_target_name` LowCardinality(String) COMMENT 'User that sudo or su changes to, or the account that is changed' CODEC(ZSTD),
    `source_ip` IPv6 COMMENT 'Where from' CODEC(ZSTD),
    `source_port` UInt16 COMMENT 'Port there' CODEC(ZSTD),
    `authentication_method` LowCardinality(String) COMMENT 'password, publickey, keyboard-interactive and others; empty if not said' CODEC(ZSTD),
    `ssh_key_fingerprint` LowCardinality(String) COMMENT 'Fingerprint of the key, as sshd writes it' CODEC(ZSTD),
    `session_id` LowCardinality(String) COMMENT 'Session (logind) or terminal line' CODEC(ZSTD),
    `process_tty` LowCardinality(String) COMMENT 'Terminal' CODEC(ZSTD),
    `process_command_line` String COMMENT 'Command of sudo or cron, redacted' CODEC(ZSTD),
    `message` String COMMENT 'The line, redacted, at most 8 KiB' CODEC(ZSTD),
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool' CODEC(ZSTD),
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot' CODEC(ZSTD),
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    INDEX source_ip_skip `source_ip` TYPE bloom_filter(0.025) GRANULARITY 1,
    PROJECTION last_sequence (SELECT agent_id, boot_id, stream, max(sequence) GROUP BY agent_id, boot_id, stream)
)
ENGINE = MergeTree
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per line about authentication, sessions, privileges and accounts'
