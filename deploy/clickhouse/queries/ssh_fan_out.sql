-- en: Hosts that open SSH to many of our hosts within an hour
-- vi: Máy mở SSH tới nhiều máy nội bộ trong vòng một giờ
-- finds:
--   - {table: flows, times: 8, network_direction: internal, source_ip: 10.1.0.7, destination_ip: 10.2.0.1, step: {destination_ip: 1}, destination_port: 22, network_transport: tcp, connection_state: SF}
-- ignores:
--   - {table: flows, times: 30, network_direction: internal, source_ip: 10.1.0.7, destination_ip: 10.2.0.1, destination_port: 22, connection_state: SF}
-- answer: {hosts: 8}

SELECT source_ip, toStartOfHour(flow_start) AS hour, uniqExact(destination_ip) AS hosts, groupUniqArray(user_name) AS users
FROM flows
WHERE flow_start > now() - INTERVAL 1 DAY AND network_direction = 'internal' AND destination_port = 22 AND connection_state = 'SF'
GROUP BY source_ip, hour
HAVING hosts >= 5
ORDER BY hosts DESC
