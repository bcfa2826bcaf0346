-- en: Hosts that ask for many names that do not exist
-- vi: Máy hỏi nhiều tên miền không tồn tại
-- finds:
--   - {table: dns, times: 60, source_ip: 10.1.0.7, dns_question_name: "x{n}.example.com", dns_response_code: NXDOMAIN}
-- ignores:
--   - {table: dns, times: 60, source_ip: 10.1.0.8, dns_question_name: "y{n}.example.com", dns_response_code: NOERROR}
-- answer: {names: 60}

SELECT agent_id, source_ip, uniqExact(dns_question_name) AS names, count() AS questions, any(dns_question_name) AS one
FROM dns
WHERE event_time > now() - INTERVAL 1 DAY AND dns_response_code = 'NXDOMAIN'
GROUP BY agent_id, source_ip
HAVING names >= 50
ORDER BY names DESC
