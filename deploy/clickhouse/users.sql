-- Who may do what. Run once by an administrator (access_management = 1), on a cluster with ON CLUSTER after each name
-- of a role, profile, policy or user. Everything may be run again.

-- The collector: makes and changes its own tables, writes and reads them, and nothing else.
CREATE ROLE IF NOT EXISTS luytre_writer;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW, ALTER, SELECT, INSERT, TRUNCATE, OPTIMIZE ON luytre.* TO luytre_writer;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW, SELECT ON luytre_local.* TO luytre_writer;
GRANT CREATE DATABASE, CREATE TABLE, ALTER, SELECT, INSERT, TRUNCATE, OPTIMIZE ON luytre_shard.* TO luytre_writer;
GRANT CLUSTER ON *.* TO luytre_writer;
GRANT SELECT ON system.* TO luytre_writer;

-- Analysts: read the tables and the views in local time, within limits; no other table, file or address.
CREATE SETTINGS PROFILE IF NOT EXISTS luytre_analyst SETTINGS readonly = 2 READONLY, max_execution_time = 60 MAX 600, max_memory_usage = 4000000000 MAX 16000000000, max_result_rows = 1000000 MAX 10000000, result_overflow_mode = 'throw' READONLY, max_concurrent_queries_for_user = 8 READONLY;
CREATE ROLE IF NOT EXISTS luytre_analyst SETTINGS PROFILE 'luytre_analyst';
GRANT SELECT ON luytre.* TO luytre_analyst;
GRANT SELECT ON luytre_local.* TO luytre_analyst;
GRANT SELECT ON luytre_shard.* TO luytre_analyst;
CREATE QUOTA IF NOT EXISTS luytre_analyst FOR INTERVAL 1 hour MAX queries = 2000, read_bytes = 20000000000000 TO luytre_analyst;

-- Auditors: who asked what, and the state of the tables; not what is in them.
CREATE SETTINGS PROFILE IF NOT EXISTS luytre_auditor SETTINGS readonly = 2 READONLY, max_execution_time = 60 MAX 600, max_memory_usage = 4000000000 READONLY;
CREATE ROLE IF NOT EXISTS luytre_auditor SETTINGS PROFILE 'luytre_auditor';
GRANT SELECT ON system.query_log TO luytre_auditor;
GRANT SELECT ON system.session_log TO luytre_auditor;
GRANT SELECT ON system.tables TO luytre_auditor;
GRANT SELECT ON system.parts TO luytre_auditor;
GRANT SHOW ACCESS ON *.* TO luytre_auditor;
GRANT SELECT ON luytre.agent_health TO luytre_auditor;
GRANT SELECT ON luytre.collector_health TO luytre_auditor;

-- Whose rows: nobody's, unless a policy says otherwise; ClickHouse alone would show all rows to whom no policy names. A
-- table that an upgrade brings is closed too, until it is opened. Administrators who shall see rows have luytre_all.
CREATE ROLE IF NOT EXISTS luytre_all;
CREATE ROW POLICY IF NOT EXISTS luytre_nobody ON luytre.*, luytre_shard.* FOR SELECT USING 0 TO ALL;
CREATE ROW POLICY IF NOT EXISTS luytre_all ON luytre.*, luytre_shard.* FOR SELECT USING 1 TO luytre_all, luytre_writer, luytre_auditor;

-- Organisations: one role each, beside luytre_analyst; its members see the rows of its agents and of those below it, by
-- table agents. The role is here so that it can be given; its policies are what `luytre-collector rights hue` prints.
CREATE ROLE IF NOT EXISTS luytre_hue;

-- People and programs come with a certificate of the site's authority; its common name is who they are.
CREATE USER IF NOT EXISTS collector IDENTIFIED WITH ssl_certificate CN 'collector' DEFAULT ROLE luytre_writer;
CREATE USER IF NOT EXISTS lan IDENTIFIED WITH ssl_certificate CN 'lan' DEFAULT ROLE luytre_analyst, luytre_all;
CREATE USER IF NOT EXISTS minh IDENTIFIED WITH ssl_certificate CN 'minh' DEFAULT ROLE luytre_analyst, luytre_hue;
CREATE USER IF NOT EXISTS thanhtra IDENTIFIED WITH ssl_certificate CN 'thanhtra' DEFAULT ROLE luytre_auditor;
GRANT luytre_writer TO collector;
GRANT luytre_analyst, luytre_all TO lan;
GRANT luytre_analyst, luytre_hue TO minh;
GRANT luytre_auditor TO thanhtra;
