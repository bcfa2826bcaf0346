CREATE TABLE IF NOT EXISTS `sockets`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD),
    `event_action` LowCardinality(String) COMMENT 'connect, accept, bind, listen, close, or seed: it was there already' CODEC(ZSTD),
    `event_source` LowCardinality(String) COMMENT 'How the agent knows: ebpf, or sock_diag' CODEC(ZSTD),
    `source_ip` IPv6 COMMENT 'Originator: who sent the first packet' CODEC(ZSTD),
    `source_port` UInt16 COMMENT 'Port of the originator; ICMP type' CODEC(ZSTD),
    `destination_ip` IPv6 COMMENT 'Responder' CODEC(ZSTD),
    `destination_port` UInt16 COMMENT 'Port of the responder; ICMP type of the counterpart, or the code where the type has none' CODEC(ZSTD),
    `network_transport` LowCardinality(String) COMMENT 'tcp, udp, icmp, ipv6-icmp, sctp, or the IANA protocol number' CODEC(ZSTD),
    `socket_id` UInt64 COMMENT 'Socket cookie of the kernel; 0 if unknown' CODEC(T64, ZSTD),
    `network_namespace_id` UInt64 COMMENT 'Cookie of the network namespace; 0 if unknown' CODEC(T64, ZSTD),
    `source_payload_bytes` UInt64 COMMENT 'Payload bytes from the originator, by the kernel\'s count at close; sock_diag: when last seen' CODEC(T64, ZSTD),
    `destination_payload_bytes` UInt64 COMMENT 'Payload bytes from the responder, by the kernel\'s count at close; sock_diag: when last seen' CODEC(T64, ZSTD),
    `tcp_rtt` UInt32 COMMENT 'Smoothed round-trip time at close (srtt), microseconds; 0 if unknown' CODEC(T64, ZSTD),
    `process_pid` UInt32 COMMENT 'Process id in the agent\'s pid namespace' CODEC(T64, ZSTD),
    `process_entity_id` UInt64 COMMENT 'Identity of the process, as in table processes; 0 if unknown' CODEC(T64, ZSTD),
    `process_name` LowCardinality(String) COMMENT 'Command name of the process (comm)' CODEC(ZSTD),
    `process_executable` LowCardinality(String) COMMENT 'Executable of the process' CODEC(ZSTD),
    `process_command_line` String COMMENT 'Command line of the process, redacted' CODEC(ZSTD),
    `user_id` UInt32 COMMENT 'Real user id of the process' CODEC(T64, ZSTD),
    `user_name` LowCardinality(String) COMMENT 'Name of the user on this host' CODEC(ZSTD),
    `systemd_unit` LowCardinality(String) COMMENT 'systemd unit by the cgroup of the process' CODEC(ZSTD),
    `container_id` LowCardinality(String) COMMENT 'Container by the cgroup of the process' CODEC(ZSTD),
    `attribution_method` LowCardinality(String) COMMENT 'How the owner is known: ebpf or sock_diag, with +conntrack through translated addresses; empty when it is not' CODEC(ZSTD),
    `attribution_confidence` UInt8 COMMENT 'How sure the owner is, percent' CODEC(ZSTD),
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool' CODEC(ZSTD),
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot' CODEC(ZSTD),
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    INDEX source_ip_skip `source_ip` TYPE bloom_filter(0.025) GRANULARITY 1,
    INDEX destination_ip_skip `destination_ip` TYPE bloom_filter(0.025) GRANULARITY 1,
    INDEX process_entity_id_skip `process_entity_id` TYPE bloom_filter(0.025) GRANULARITY 1,
    PROJECTION last_sequence (SELECT agent_id, boot_id, stream, max(sequence) GROUP BY agent_id, boot_id, stream)
)
ENGINE = MergeTree
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per socket event, with its owner; source is who opened the connection, as in flows'
