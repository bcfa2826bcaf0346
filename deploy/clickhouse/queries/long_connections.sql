-- en: Connections that have been open for more than an hour
-- vi: Những kết nối đã mở hơn một giờ
-- finds:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.9, destination_port: 443, flow_id: 5, flow_end_reason: active, ago: 9000}
-- ignores:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, flow_id: 6, flow_end_reason: active, ago: 9000}
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, flow_id: 6, flow_end_reason: end, ago: 60}
-- answer: {flow_id: 5, destination_port: 443}

SELECT agent_id, flow_id, started, last_seen, source_ip, destination_ip, destination_port, process_executable,
    source_bytes, destination_bytes
FROM open_connections
WHERE started < now() - INTERVAL 1 HOUR
ORDER BY started
