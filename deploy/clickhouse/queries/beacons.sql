-- en: Connections to one address at even intervals, by program
-- vi: Kết nối đều đặn tới một địa chỉ, theo chương trình
-- finds:
--   - {table: flows, times: 20, every: 60, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.66, destination_port: 443, process_executable: /opt/x/agent}
-- ignores:
--   - {table: flows, times: 6, every: 1, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.5, destination_port: 443}
--   - {table: flows, times: 6, every: 1, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.5, destination_port: 443, ago: 9000}
-- answer: {connections: 20, interval_s: 60}

WITH arraySort(groupArray(toUnixTimestamp64Micro(flow_start) / 1e6)) AS starts,
    arrayPopFront(arrayDifference(starts)) AS intervals
SELECT agent_id, process_executable, destination_ip, destination_port, length(starts) AS connections,
    round(arrayAvg(intervals)) AS interval_s, round(arrayReduce('stddevPop', intervals), 1) AS deviation_s
FROM flows
WHERE flow_start > now() - INTERVAL 1 DAY AND network_direction = 'outbound' AND flow_end_reason != 'active'
GROUP BY agent_id, process_executable, destination_ip, destination_port
HAVING connections >= 10 AND interval_s >= 1 AND deviation_s < interval_s / 5
ORDER BY connections DESC
