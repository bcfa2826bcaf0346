-- en: One source, one host, many ports
-- vi: Một nguồn dò nhiều cổng trên một máy
-- finds:
--   - {table: flows, times: 40, source_ip: 10.1.0.66, destination_ip: 10.2.0.1, destination_port: 1, step: {destination_port: 7}, connection_state: REJ, network_transport: tcp}
-- ignores:
--   - {table: flows, times: 40, source_ip: 10.1.0.7, destination_ip: 10.2.0.1, destination_port: 443}
-- answer: {ports: 40}

SELECT source_ip, destination_ip, uniqExact(destination_port) AS ports, min(flow_start) AS first, max(flow_end) AS last
FROM flows
WHERE flow_end > now() - INTERVAL 1 DAY AND network_transport IN ('tcp', 'udp')
GROUP BY source_ip, destination_ip
HAVING ports >= 30
ORDER BY ports DESC
