-- en: Services that send passwords in the clear, and who uses them
-- vi: Dịch vụ gửi mật khẩu không mã hóa và ai đang dùng
-- finds:
--   - {table: flows, source_ip: 10.1.0.7, destination_ip: 10.1.0.9, destination_port: 23, network_transport: tcp, connection_state: SF, destination_payload_bytes: 99}
-- ignores:
--   - {table: flows, source_ip: 10.1.0.7, destination_ip: 10.1.0.9, destination_port: 23, network_transport: tcp, connection_state: S0}
-- answer: {destination_port: 23, clients: 1}

SELECT destination_ip, destination_port, uniqExact(source_ip) AS clients, count() AS connections, max(flow_end) AS last
FROM flows
WHERE flow_end > now() - INTERVAL 7 DAY AND network_transport = 'tcp' AND destination_payload_bytes > 0
    AND destination_port IN (21, 23, 110, 143, 389, 512, 513, 514) AND network_protocol != 'tls'
GROUP BY destination_ip, destination_port
ORDER BY connections DESC
