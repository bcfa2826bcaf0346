-- en: What people ran as another user, the rarest first
-- vi: Người dùng đã chạy gì dưới quyền người khác, hiếm nhất trước
-- finds:
--   - {table: logins, event_action: sudo, event_outcome: success, user_name: lan, user_target_name: root, process_command_line: /usr/bin/visudo}
-- ignores:
--   - {table: logins, event_action: cron, user_name: root, process_command_line: run-parts}
-- answer: {user_name: lan, process_command_line: /usr/bin/visudo}

SELECT user_name, user_target_name, process_command_line, count() AS times, groupUniqArray(agent_id) AS hosts
FROM logins
WHERE event_time > now() - INTERVAL 7 DAY AND event_action IN ('sudo', 'su')
GROUP BY user_name, user_target_name, process_command_line
ORDER BY times, user_name
