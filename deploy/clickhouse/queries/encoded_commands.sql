-- en: Command lines that decode something and run it
-- vi: Dòng lệnh giải mã rồi chạy nội dung
-- finds:
--   - {table: processes, event_action: exec, process_command_line: "bash -c echo aWQ= | base64 -d | sh"}
-- ignores:
--   - {table: processes, event_action: exec, process_command_line: base64 file}
-- answer: {agent_id: a}

SELECT event_time, agent_id, user_name, process_parent_executable, process_command_line
FROM processes
WHERE event_time > now() - INTERVAL 7 DAY AND event_action = 'exec'
    AND multiSearchAnyCaseInsensitive(process_command_line, ['base64 -d', 'base64 --decode', 'b64decode', 'xxd -r', 'openssl enc -d'])
ORDER BY event_time DESC
