-- en: "Domains under which long and ever different names are asked: a tunnel"
-- vi: "Tên miền có nhiều tên con dài và luôn khác nhau: dấu hiệu đường hầm DNS"
-- finds:
--   - {table: dns, times: 30, source_ip: 10.1.0.7, dns_question_name: "{n}mzxw6ytboi2gi33nfzrw63jamzxw6ytboi2gi33nfzrw63jamzxw6yt.t.example.net"}
-- ignores:
--   - {table: dns, times: 30, source_ip: 10.1.0.7, dns_question_name: "www{n}.example.org"}
-- answer: {domain: example.net, names: 30}

SELECT agent_id, arrayStringConcat(arraySlice(splitByChar('.', dns_question_name), -2), '.') AS domain,
    uniqExact(dns_question_name) AS names, round(avg(length(dns_question_name))) AS length
FROM dns
WHERE event_time > now() - INTERVAL 1 DAY
GROUP BY agent_id, domain
HAVING names >= 25 AND length >= 50
ORDER BY names DESC
