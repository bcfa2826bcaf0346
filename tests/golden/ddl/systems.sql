CREATE TABLE IF NOT EXISTS `systems`
(
    `system_id` LowCardinality(String) COMMENT 'Id of the information system; empty if none' CODEC(ZSTD),
    `system_name` String COMMENT 'Name in English' CODEC(ZSTD),
    `system_name_vi` String COMMENT 'Name in Vietnamese' CODEC(ZSTD),
    `system_level` UInt8 COMMENT 'Security level of the information system, 1 to 5; 0 if unknown' CODEC(ZSTD),
    `organisation_id` LowCardinality(String) COMMENT 'Id of the organisation; empty if none' CODEC(ZSTD),
    `organisation_path` Array(String) COMMENT 'The organisation and all above it, the topmost first: has(organisation_path, \'hue\') is Hue and all below it' CODEC(ZSTD),
    `system_agents` Array(String) COMMENT 'Names of its agents; * and ? stand for any characters' CODEC(ZSTD),
    `system_kept_days` UInt32 COMMENT 'Days of arrival for which rows of its agents are kept' CODEC(T64, ZSTD),
    `recorded_time` DateTime64(6, 'UTC') COMMENT 'When a collector wrote this row; the newest of one key counts' CODEC(Delta, ZSTD),
    `removed` UInt8 COMMENT '1: it is not declared any more; such rows are never shown' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(recorded_time, removed)
ORDER BY (system_id)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Information systems, as declared in the file of sites'
