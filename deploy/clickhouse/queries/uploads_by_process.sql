-- en: Which programs sent the most out of our networks in the last day?
-- vi: Chương trình nào gửi nhiều dữ liệu nhất ra ngoài mạng trong một ngày qua?
-- finds:
--   - {table: flows, network_direction: outbound, source_ip: 10.1.0.7, network_transport: tcp, destination_ip: 203.0.113.9, process_executable: /usr/bin/rclone, source_bytes: 700000000}
-- ignores:
--   - {table: flows, network_direction: internal, source_ip: 10.1.0.7, destination_ip: 10.1.0.8, source_bytes: 900000000}
-- answer: {process_executable: /usr/bin/rclone, bytes: 700000000}

SELECT agent_id, process_executable, user_name, sum(source_bytes) AS bytes, uniqExact(destination_ip) AS destinations
FROM flows
WHERE flow_end > now() - INTERVAL 1 DAY AND network_direction = 'outbound'
GROUP BY agent_id, process_executable, user_name
HAVING bytes > 100000000
ORDER BY bytes DESC
