-- en: Agents heard in the last week whose certificate expires within thirty days, by organisation
-- vi: Tác tử còn hoạt động trong tuần qua mà chứng thư hết hạn trong ba mươi ngày tới, theo cơ quan
-- finds:
--   - {table: agents, agent_id: soon, organisation_id: hue, x509_serial_number: 2A9F, x509_not_after: 1, ago: 60}
-- ignores:
--   - {table: agents, agent_id: gone, organisation_id: hue, x509_not_after: 1, ago: 800000}
--   - {table: agents, agent_id: fine, organisation_id: hue, x509_not_after: 4102444800000000, ago: 60}
-- answer: {organisation_id: hue, agent_id: soon, x509_serial_number: 2A9F}

SELECT organisation_id, system_id, agent_id, host_name, x509_serial_number, x509_not_after AS expires
FROM agents
WHERE last_seen > now() - INTERVAL 7 DAY AND x509_not_after < now() + INTERVAL 30 DAY
ORDER BY expires
