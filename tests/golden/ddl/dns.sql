CREATE TABLE IF NOT EXISTS `dns`
(
    `event_time` DateTime64(6, 'UTC') COMMENT 'Time of the packet that began it' CODEC(Delta, ZSTD),
    `flow_id` UInt64 COMMENT 'Identity of the flow within the agent: a hash of its tuple, start and, live, the interface' CODEC(T64, ZSTD),
    `source_ip` IPv6 COMMENT 'Originator: who sent the first packet' CODEC(ZSTD),
    `source_port` UInt16 COMMENT 'Port of the originator; ICMP type' CODEC(ZSTD),
    `destination_ip` IPv6 COMMENT 'Responder' CODEC(ZSTD),
    `destination_port` UInt16 COMMENT 'Port of the responder; ICMP type of the counterpart, or the code where the type has none' CODEC(ZSTD),
    `network_transport` LowCardinality(String) COMMENT 'tcp, udp, icmp, ipv6-icmp, sctp, or the IANA protocol number' CODEC(ZSTD),
    `dns_id` UInt16 COMMENT 'Transaction identifier' CODEC(ZSTD),
    `dns_question_name` String COMMENT 'Name asked for, lower case, without the final dot; \\DDD for bytes that are not printable' CODEC(ZSTD),
    `dns_question_type` LowCardinality(String) COMMENT 'Type asked for, or TYPEn (RFC 3597)' CODEC(ZSTD),
    `dns_question_class` LowCardinality(String) COMMENT 'Class asked for, or CLASSn' CODEC(ZSTD),
    `dns_response_code` LowCardinality(String) COMMENT 'NOERROR, NXDOMAIN, ...; empty when no answer was seen' CODEC(ZSTD),
    `dns_header_flags` LowCardinality(String) COMMENT 'Header flags that were set, of both messages: AA TC RD RA AD CD' CODEC(ZSTD),
    `dns_answers_data` Array(String) COMMENT 'Answer records in presentation form' CODEC(ZSTD),
    `dns_answers_ttl` Array(UInt32) COMMENT 'Time to live of each answer, seconds' CODEC(ZSTD),
    `dns_latency` UInt32 COMMENT 'Question to answer, microseconds; 0 if either is missing' CODEC(T64, ZSTD),
    `dns_oddities` LowCardinality(String) COMMENT 'What was wrong with the messages: truncated, pointer_loop, bad_pointer, label_limit, count_mismatch, trailing, bad_rdata, answers_cut; space-separated' CODEC(ZSTD),
    `agent_id` LowCardinality(String) COMMENT 'Identity of the sender: the common name of its certificate' CODEC(ZSTD),
    `host_name` LowCardinality(String) COMMENT 'Host name as the agent states it' CODEC(ZSTD),
    `boot_id` LowCardinality(String) COMMENT 'One numbering of rows: a UUID, new with every host boot and every new spool' CODEC(ZSTD),
    `stream` LowCardinality(String) COMMENT 'Name of the numbering within the boot' CODEC(ZSTD),
    `sequence` UInt64 COMMENT 'Number of the row in (agent_id, boot_id, stream), from 0, without gaps' CODEC(Delta, ZSTD),
    `agent_time` DateTime64(6, 'UTC') COMMENT 'When the agent sealed the batch, by the agent\'s clock' CODEC(Delta, ZSTD),
    `collector_time` DateTime64(6, 'UTC') COMMENT 'When the collector received the batch, by its clock; the partition is its day' CODEC(Delta, ZSTD),
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    INDEX flow_id_skip `flow_id` TYPE bloom_filter(0.025) GRANULARITY 1,
    INDEX dns_question_name_skip `dns_question_name` TYPE tokenbf_v1(8192, 2, 0) GRANULARITY 1,
    PROJECTION last_sequence (SELECT agent_id, boot_id, stream, max(sequence) GROUP BY agent_id, boot_id, stream)
)
ENGINE = MergeTree
PARTITION BY toDate(collector_time)
ORDER BY (agent_id, event_time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per DNS transaction (RFC 1035): a question with its answer, or either alone'
