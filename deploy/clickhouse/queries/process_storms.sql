-- en: Parents that start very many processes
-- vi: Tiến trình cha sinh ra rất nhiều tiến trình con
-- finds:
--   - {table: processes, times: 300, event_action: exec, process_parent_entity_id: 77, process_parent_executable: /usr/bin/xargs, process_executable: /usr/bin/curl}
-- ignores:
--   - {table: processes, times: 20, event_action: exec, process_parent_entity_id: 78}
-- answer: {children: 300, parent: /usr/bin/xargs}

SELECT agent_id, process_parent_entity_id, any(process_parent_executable) AS parent, count() AS children,
    topK(3)(process_executable) AS programs
FROM processes
WHERE event_time > now() - INTERVAL 1 DAY AND event_action = 'exec'
GROUP BY agent_id, process_parent_entity_id
HAVING children >= 200
ORDER BY children DESC
