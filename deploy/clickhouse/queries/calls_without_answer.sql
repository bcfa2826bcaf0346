-- en: Programs whose connections to the outside are never answered
-- vi: Chương trình liên tục gọi ra ngoài mà không được trả lời
-- finds:
--   - {table: flows, times: 12, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.9, destination_port: 8443, connection_state: S0, process_executable: /opt/x/agent}
-- ignores:
--   - {table: flows, times: 12, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.8, destination_port: 443, connection_state: SF, process_executable: /usr/bin/curl}
-- answer: {process_executable: /opt/x/agent, attempts: 12}

SELECT agent_id, process_executable, destination_ip, destination_port, count() AS attempts
FROM flows
WHERE flow_end > now() - INTERVAL 1 DAY AND network_direction = 'outbound' AND network_transport = 'tcp'
GROUP BY agent_id, process_executable, destination_ip, destination_port
HAVING attempts >= 10 AND countIf(connection_state IN ('S0', 'REJ', 'RSTOS0')) = attempts
ORDER BY attempts DESC
