-- en: Alerts of the last week by host and rule, gravest first
-- vi: Cảnh báo trong tuần qua theo máy và luật, nghiêm trọng nhất trước
-- finds:
--   - {table: alerts, alert_id: x1, rule_id: r1, rule_name: Reverse Shell, rule_level: critical}
-- ignores:
--   - {table: alerts, alert_id: x0, rule_id: r0, rule_name: Old, rule_level: low, ago: 800000}
-- answer: {rule_name: Reverse Shell, alerts: 1}

SELECT host_name, rule_level, rule_name, count() AS alerts, max(event_time) AS last
FROM alerts
WHERE event_time > now() - INTERVAL 7 DAY
GROUP BY host_name, rule_level, rule_name
ORDER BY indexOf(['critical', 'high', 'medium', 'low', 'informational'], rule_level), alerts DESC
