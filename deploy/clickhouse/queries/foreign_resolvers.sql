-- en: Name servers outside that our hosts ask directly
-- vi: Máy chủ DNS bên ngoài được máy của ta hỏi trực tiếp
-- finds:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, destination_ip: 203.0.113.53, destination_port: 53, network_transport: udp, process_executable: /opt/x}
-- ignores:
--   - {table: flows, network_direction: internal, source_ip: 10.1.0.7, destination_ip: 10.1.0.53, destination_port: 53, network_transport: udp}
-- answer: {destination_port: 53}

SELECT destination_ip, destination_port, uniqExact(agent_id) AS hosts, sum(flows) AS flows, groupUniqArray(10)(process_executable) AS programs
FROM flows_1h
WHERE window_start > now() - INTERVAL 7 DAY AND network_direction = 'outbound' AND destination_port IN (53, 853)
GROUP BY destination_ip, destination_port
ORDER BY flows DESC
