-- en: Addresses outside that no host had talked to before the last day, and who does
-- vi: Những địa chỉ bên ngoài chưa máy nào từng liên lạc trước một ngày qua, và máy nào đang liên lạc
-- finds:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.66}
-- ignores:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.5, ago: 200000}
-- answer: {value: "::ffff:203.0.113.66"}

SELECT value, min(first_time) AS since, groupArray(agent_id) AS agents
FROM first_seen
WHERE kind = 'destination'
GROUP BY value
HAVING since > now() - INTERVAL 1 DAY
ORDER BY since DESC
