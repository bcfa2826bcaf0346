-- en: "TLS to the outside without a server name: hand-made clients"
-- vi: "TLS ra ngoài không kèm tên máy chủ: thường là phần mềm tự viết"
-- finds:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, destination_ip: 203.0.113.66, destination_port: 443, flow_id: 9, process_executable: /opt/x}
--   - {table: tls, source_ip: 10.1.0.7, destination_ip: 203.0.113.66, destination_port: 443, flow_id: 9}
-- ignores:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, flow_id: 8}
--   - {table: tls, source_ip: 10.1.0.7, flow_id: 8, tls_client_server_name: www.example.org}
-- answer: {process_executable: /opt/x, handshakes: 1}

SELECT f.agent_id AS agent, f.process_executable AS process_executable, t.destination_ip AS destination_ip, count() AS handshakes
FROM tls AS t
INNER JOIN flows AS f ON f.agent_id = t.agent_id AND f.flow_id = t.flow_id
WHERE t.event_time > now() - INTERVAL 1 DAY AND t.tls_client_server_name = '' AND f.network_direction = 'outbound'
GROUP BY agent, process_executable, destination_ip
ORDER BY handshakes DESC
