-- en: Successful logins from addresses the user had not used before the last day
-- vi: Đăng nhập thành công từ địa chỉ người dùng chưa từng dùng trước một ngày qua
-- finds:
--   - {table: logins, event_action: login, event_outcome: success, source_ip: 10.1.0.5, user_name: lan, ago: 200000}
--   - {table: logins, event_action: login, event_outcome: success, source_ip: 203.0.113.66, user_name: lan}
-- ignores:
--   - {table: logins, event_action: login, event_outcome: success, source_ip: 10.1.0.6, user_name: minh, ago: 200000}
-- answer: {user_name: lan, logins: 1}

SELECT user_name, source_ip, min(event_time) AS first, count() AS logins, groupUniqArray(agent_id) AS hosts
FROM logins
WHERE event_action = 'login' AND event_outcome = 'success' AND source_ip != toIPv6('::')
GROUP BY user_name, source_ip
HAVING first > now() - INTERVAL 1 DAY
    AND user_name IN (SELECT user_name FROM logins WHERE event_action = 'login' AND event_time < now() - INTERVAL 1 DAY)
ORDER BY first DESC
