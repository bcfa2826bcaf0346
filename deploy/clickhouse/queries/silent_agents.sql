-- en: Agents that were heard in the last week and not in the last ten minutes
-- vi: Agent còn hoạt động trong tuần qua nhưng im lặng mười phút nay
-- finds:
--   - {table: agent_health, component: spool, counter: bytes, agent_id: quiet, ago: 3600}
-- ignores:
--   - {table: agent_health, component: spool, counter: bytes, agent_id: alive}
-- answer: {agent_id: quiet}

SELECT agent_id, any(host_name) AS host_name, max(collector_time) AS last_heard
FROM agent_health
WHERE collector_time > now() - INTERVAL 7 DAY
GROUP BY agent_id
HAVING last_heard < now() - INTERVAL 10 MINUTE
ORDER BY last_heard
