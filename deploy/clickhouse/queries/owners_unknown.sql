-- en: "Connections to the outside whose program is not known: what hides, or what the agent cannot see"
-- vi: "Kết nối ra ngoài không rõ chương trình: có thể đang ẩn mình, hoặc agent không thấy được"
-- finds:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.66, destination_port: 443, attribution_confidence: 0}
-- ignores:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.5, attribution_confidence: 100, process_executable: /usr/bin/curl}
-- answer: {destination_port: 443, flows: 1}

SELECT agent_id, destination_ip, destination_port, count() AS flows, sum(source_bytes) AS bytes
FROM flows
WHERE flow_end > now() - INTERVAL 1 DAY AND network_direction = 'outbound' AND attribution_confidence = 0
GROUP BY agent_id, destination_ip, destination_port
ORDER BY bytes DESC
