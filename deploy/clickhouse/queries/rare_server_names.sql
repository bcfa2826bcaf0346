-- en: TLS server names that a single host contacts, once
-- vi: Tên máy chủ TLS chỉ một máy liên lạc và chỉ một lần
-- finds:
--   - {table: tls, source_ip: 10.1.0.7, tls_client_server_name: rare.example.net}
-- ignores:
--   - {table: tls, times: 5, source_ip: 10.1.0.7, tls_client_server_name: www.example.org}
-- answer: {tls_client_server_name: rare.example.net}

SELECT tls_client_server_name, any(agent_id) AS agent, any(destination_ip) AS address, min(event_time) AS at
FROM tls
WHERE event_time > now() - INTERVAL 7 DAY AND tls_client_server_name != ''
GROUP BY tls_client_server_name
HAVING count() = 1
ORDER BY at DESC
