-- en: Who asks for TXT and NULL records, which programs seldom need
-- vi: Ai hỏi bản ghi TXT và NULL, loại chương trình thông thường hiếm khi cần
-- finds:
--   - {table: dns, times: 10, source_ip: 10.1.0.7, dns_question_name: c2.example.net, dns_question_type: TXT}
-- ignores:
--   - {table: dns, times: 10, source_ip: 10.1.0.7, dns_question_name: www.example.org, dns_question_type: A}
-- answer: {questions: 10}

SELECT agent_id, source_ip, dns_question_type, count() AS questions, topK(3)(dns_question_name) AS names
FROM dns
WHERE event_time > now() - INTERVAL 1 DAY AND dns_question_type IN ('TXT', 'NULL', 'CNAME', 'ANY')
GROUP BY agent_id, source_ip, dns_question_type
ORDER BY questions DESC
