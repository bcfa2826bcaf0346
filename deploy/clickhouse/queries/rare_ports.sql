-- en: Destination ports outside that only one host uses
-- vi: Cổng đích bên ngoài chỉ có một máy dùng
-- finds:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.9, destination_port: 4444, connection_state: SF}
-- ignores:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.9, destination_port: 443}
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.9, destination_port: 443, agent_id: b}
-- answer: {destination_port: 4444, agent: a}

SELECT destination_port, network_transport, any(agent_id) AS agent, sum(flows) AS flows, uniqExact(destination_ip) AS addresses
FROM flows_1h
WHERE window_start > now() - INTERVAL 30 DAY AND network_direction = 'outbound'
GROUP BY destination_port, network_transport
HAVING uniqExact(agent_id) = 1
ORDER BY flows
