CREATE TABLE IF NOT EXISTS `organisations`
(
    `organisation_id` LowCardinality(String) COMMENT 'Id of the organisation; empty if none' CODEC(ZSTD),
    `organisation_name` String COMMENT 'Name in English' CODEC(ZSTD),
    `organisation_name_vi` String COMMENT 'Name in Vietnamese' CODEC(ZSTD),
    `organisation_parent_id` LowCardinality(String) COMMENT 'Id of the organisation above it; empty for none' CODEC(ZSTD),
    `organisation_path` Array(String) COMMENT 'The organisation and all above it, the topmost first: has(organisation_path, \'hue\') is Hue and all below it' CODEC(ZSTD),
    `recorded_time` DateTime64(6, 'UTC') COMMENT 'When a collector wrote this row; the newest of one key counts' CODEC(Delta, ZSTD),
    `removed` UInt8 COMMENT '1: it is not declared any more; such rows are never shown' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(recorded_time, removed)
ORDER BY (organisation_id)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Organisations, as declared in the file of sites'
