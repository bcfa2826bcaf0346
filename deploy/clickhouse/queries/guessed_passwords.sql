-- en: Addresses that failed many times and then came in
-- vi: Địa chỉ đăng nhập sai nhiều lần rồi vào được
-- finds:
--   - {table: logins, times: 12, event_action: login, event_outcome: failure, source_ip: 203.0.113.66, user_name: lan, ago: 300}
--   - {table: logins, event_action: login, event_outcome: success, source_ip: 203.0.113.66, user_name: lan, ago: 100}
-- ignores:
--   - {table: logins, times: 12, event_action: login, event_outcome: failure, source_ip: 203.0.113.5, user_name: root}
-- answer: {failures: 12, user_name: lan}

SELECT agent_id, source_ip, argMaxIf(user_name, event_time, event_outcome = 'success') AS user_name,
    countIf(event_outcome = 'failure') AS failures, maxIf(event_time, event_outcome = 'success') AS came_in
FROM logins
WHERE event_time > now() - INTERVAL 1 DAY AND event_action = 'login'
GROUP BY agent_id, source_ip
HAVING failures >= 10 AND countIf(event_outcome = 'success') > 0
ORDER BY failures DESC
