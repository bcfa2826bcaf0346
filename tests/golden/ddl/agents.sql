CREATE TABLE IF NOT EXISTS `agents`
(
    `agent_id` LowCardinality(String) COMMENT 'Identity: the common name of its certificate' CODEC(ZSTD),
    `system_id` LowCardinality(String) COMMENT 'Id of the information system; empty if none' CODEC(ZSTD),
    `system_level` UInt8 COMMENT 'Security level of the information system, 1 to 5; 0 if unknown' CODEC(ZSTD),
    `organisation_id` LowCardinality(String) COMMENT 'Id of the organisation; empty if none' CODEC(ZSTD),
    `organisation_path` Array(String) COMMENT 'The organisation and all above it, the topmost first: has(organisation_path, \'hue\') is Hue and all below it' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `host_id` String COMMENT 'HMAC-SHA-256 of the host\'s machine-id: tells hosts apart' CODEC(ZSTD),
    `host_os_full` LowCardinality(String) COMMENT 'Operating system: PRETTY_NAME of os-release(5)' CODEC(ZSTD),
    `host_os_kernel` LowCardinality(String) COMMENT 'Kernel: uname -r' CODEC(ZSTD),
    `agent_version` LowCardinality(String) COMMENT 'Version of the agent' CODEC(ZSTD),
    `policy_version` UInt64 COMMENT 'Version of the policy that it has applied; 0 for none' CODEC(T64, ZSTD),
    `source_ip` IPv6 COMMENT 'Address from which it came last' CODEC(ZSTD),
    `collector_id` LowCardinality(String) COMMENT 'Collector that it came to last' CODEC(ZSTD),
    `x509_serial_number` String COMMENT 'Serial number of its certificate, hexadecimal' CODEC(ZSTD),
    `tls_client_hash_sha256` String COMMENT 'SHA-256 of its certificate (DER), hexadecimal' CODEC(ZSTD),
    `x509_not_after` DateTime64(6, 'UTC') COMMENT 'When its certificate expires' CODEC(ZSTD),
    `first_seen` DateTime64(6, 'UTC') COMMENT 'When it first came in' CODEC(Delta, ZSTD),
    `last_seen` DateTime64(6, 'UTC') COMMENT 'When it last said anything, up to a minute behind' CODEC(Delta, ZSTD),
    `recorded_time` DateTime64(6, 'UTC') COMMENT 'When a collector wrote this row; the newest of one key counts' CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(recorded_time)
ORDER BY (agent_id)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Agents that have come in, with what they said of themselves and where they belong'
