-- en: Alerts of the last week by organisation and level of the information system, gravest first
-- vi: Cảnh báo trong tuần qua theo cơ quan và cấp độ hệ thống thông tin, nghiêm trọng nhất trước
-- finds:
--   - {table: systems, system_id: portal, system_name_vi: Cổng dịch vụ công, system_level: 3, organisation_id: hue}
--   - {table: agents, agent_id: portal-1, organisation_id: hue, system_id: portal, system_level: 3}
--   - {table: alerts, alert_id: x1, agent_id: portal-1, rule_id: r1, rule_name: Reverse Shell, rule_level: critical}
--   - {table: alerts, alert_id: x2, agent_id: portal-1, rule_id: r2, rule_name: Port Scan, rule_level: low}
-- ignores:
--   - {table: alerts, alert_id: x0, agent_id: portal-1, rule_id: r0, rule_name: Old, rule_level: critical, ago: 800000}
-- answer: {organisation_id: hue, system_level: 3, system: Cổng dịch vụ công, rule_level: critical, alerts: 1, hosts: 1}

SELECT agent.organisation_id AS organisation_id, agent.system_level AS system_level,
    any(if(system.system_name_vi != '', system.system_name_vi, agent.system_id)) AS system, alert.rule_level AS rule_level,
    count() AS alerts, uniqExact(alert.agent_id) AS hosts, topK(3)(alert.rule_name) AS rules
FROM alerts AS alert
    LEFT JOIN agents AS agent ON alert.agent_id = agent.agent_id
    LEFT JOIN systems AS system ON agent.system_id = system.system_id
WHERE alert.event_time > now() - INTERVAL 7 DAY
GROUP BY organisation_id, system_level, agent.system_id, rule_level
ORDER BY indexOf(['critical', 'high', 'medium', 'low', 'informational'], rule_level), system_level DESC, alerts DESC
