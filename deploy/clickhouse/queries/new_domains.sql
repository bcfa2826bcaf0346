-- en: Names first asked for in the last day, by a single host
-- vi: Tên miền lần đầu được hỏi trong một ngày qua và chỉ từ một máy
-- finds:
--   - {table: dns, source_ip: 10.1.0.7, dns_question_name: fresh.example.net}
-- ignores:
--   - {table: dns, source_ip: 10.1.0.7, dns_question_name: old.example.org, ago: 200000}
--   - {table: dns, source_ip: 10.1.0.7, dns_question_name: all.example.org}
--   - {table: dns, source_ip: 10.1.0.8, dns_question_name: all.example.org, agent_id: b}
-- answer: {value: fresh.example.net, agent: a}

SELECT value, any(agent_id) AS agent, min(first_time) AS since
FROM first_seen
WHERE kind = 'domain'
GROUP BY value
HAVING since > now() - INTERVAL 1 DAY AND uniqExact(agent_id) = 1
ORDER BY since DESC
