-- en: One source, one port, many hosts, hardly an answer
-- vi: Một nguồn dò cùng một cổng trên nhiều máy và hầu như không được trả lời
-- finds:
--   - {table: flows, times: 30, source_ip: 10.1.0.66, destination_ip: 10.2.0.1, step: {destination_ip: 1}, destination_port: 445, connection_state: S0}
-- ignores:
--   - {table: flows, times: 30, source_ip: 10.1.0.7, destination_ip: 10.2.0.1, step: {destination_ip: 1}, destination_port: 443, connection_state: SF}
-- answer: {hosts: 30, destination_port: 445}

SELECT source_ip, destination_port, uniqExact(destination_ip) AS hosts, countIf(connection_state IN ('S0', 'REJ')) / count() AS failed
FROM flows
WHERE flow_end > now() - INTERVAL 1 DAY AND network_transport != 'icmp'
GROUP BY source_ip, destination_port
HAVING hosts >= 20 AND failed > 0.8
ORDER BY hosts DESC
