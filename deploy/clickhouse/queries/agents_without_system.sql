-- en: Agents heard in the last week that no information system names, so that nobody answers for them
-- vi: Tác tử còn hoạt động trong tuần qua nhưng chưa thuộc hệ thống thông tin nào, nên chưa có đơn vị chịu trách nhiệm
-- finds:
--   - {table: agents, agent_id: stray, host_os_full: Debian GNU/Linux 12, ago: 60}
-- ignores:
--   - {table: agents, agent_id: placed, system_id: portal, organisation_id: hue, ago: 60}
--   - {table: agents, agent_id: gone, ago: 800000}
-- answer: {agent_id: stray, host_os_full: Debian GNU/Linux 12}

SELECT agent_id, host_name, host_os_full, source_ip, first_seen, last_seen
FROM agents
WHERE system_id = '' AND last_seen > now() - INTERVAL 7 DAY
ORDER BY first_seen DESC
