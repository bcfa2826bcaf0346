CREATE TABLE IF NOT EXISTS `tls`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'Time of the packet that began it' CODEC(Delta, ZSTD),
    `flow_id` UInt64 COMMENT 'Identity of the flow within the agent: a hash of its tuple, start and, live, the interface' CODEC(T64, ZSTD),
    `source_ip` IPv6 COMMENT 'Originator: who sent the first packet' CODEC(ZSTD),
    `source_port` UInt16 COMMENT 'Port of the originator; ICMP type' CODEC(ZSTD),
    `destination_ip` IPv6 COMMENT 'Responder' CODEC(ZSTD),
    `destination_port` UInt16 COMMENT 'Port of the responder; ICMP type of the counterpart, or the code where the type has none' CODEC(ZSTD),
    `network_transport` LowCardinality(String) COMMENT 'tcp, udp, icmp, ipv6-icmp, sctp, or the IANA protocol number' CODEC(ZSTD),
    `tls_version` LowCardinality(String) COMMENT 'Highest version the client offers: 1.0 1.1 1.2 1.3, or hexadecimal' CODEC(ZSTD),
    `tls_client_server_name` String COMMENT 'Server name indication (RFC 6066), lower case' CODEC(ZSTD),
    `tls_client_alpn` Array(String) COMMENT 'Application protocols offered (RFC 7301)' CODEC(ZSTD),
    `tls_client_cipher_count` UInt16 COMMENT 'Number of cipher suites offered, GREASE (RFC 8701) not counted' CODEC(ZSTD),
    `tls_oddities` LowCardinality(String) COMMENT 'What was wrong with the hello: truncated, bad_length, bad_sni; space-separated' CODEC(ZSTD),
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool' CODEC(ZSTD),
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot' CODEC(ZSTD),
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    INDEX flow_id_skip `flow_id` TYPE bloom_filter(0.025) GRANULARITY 1,
    INDEX tls_client_server_name_skip `tls_client_server_name` TYPE tokenbf_v1(8192, 2, 0) GRANULARITY 1,
    PROJECTION last_sequence (SELECT agent_id, boot_id, stream, max(sequence) GROUP BY agent_id, boot_id, stream)
)
ENGINE = MergeTree
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per TLS ClientHello (RFC 8446, RFC 5246)'
