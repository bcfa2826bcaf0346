-- en: Linux servers that open SMB or RDP
-- vi: Máy chủ Linux mở kết nối SMB hoặc RDP
-- finds:
--   - {table: flows, source_ip: 10.1.0.7, destination_ip: 10.1.0.9, destination_port: 445, network_transport: tcp, connection_state: SF, process_executable: /tmp/smbexec}
-- ignores:
--   - {table: flows, source_ip: 10.1.0.7, destination_ip: 10.1.0.9, destination_port: 443, process_executable: /usr/bin/curl}
-- answer: {process_executable: /tmp/smbexec}

SELECT agent_id, process_executable, user_name, destination_ip, destination_port, count() AS connections
FROM flows
WHERE flow_end > now() - INTERVAL 7 DAY AND destination_port IN (445, 3389, 5985) AND process_executable != ''
GROUP BY agent_id, process_executable, user_name, destination_ip, destination_port
ORDER BY connections DESC
