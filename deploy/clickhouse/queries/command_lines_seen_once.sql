-- en: Command lines of root that ran once on one host
-- vi: Dòng lệnh của root chỉ chạy một lần trên một máy
-- finds:
--   - {table: processes, event_action: exec, user_name: root, process_executable: /usr/bin/nc, process_command_line: nc -lvp 4444}
-- ignores:
--   - {table: processes, times: 3, event_action: exec, user_name: root, process_command_line: "run-parts /etc/cron.hourly"}
-- answer: {line: nc -lvp 4444}

SELECT any(process_command_line) AS line, any(agent_id) AS agent, min(event_time) AS at
FROM processes
WHERE event_time > now() - INTERVAL 7 DAY AND event_action = 'exec' AND user_name = 'root'
GROUP BY replaceRegexpAll(process_command_line, '[0-9]{3,}', '#')
HAVING count() = 1
ORDER BY at DESC
