-- en: Programs that run from places where everyone may write, or from memory
-- vi: Chương trình chạy từ nơi ai cũng ghi được, hoặc từ bộ nhớ
-- finds:
--   - {table: processes, event_action: exec, process_executable: /dev/shm/.x/k, user_name: www-data}
-- ignores:
--   - {table: processes, event_action: exec, process_executable: /usr/bin/ls}
-- answer: {process_executable: /dev/shm/.x/k}

SELECT event_time, agent_id, user_name, process_executable, process_command_line, process_hash_sha256
FROM processes
WHERE event_time > now() - INTERVAL 1 DAY AND event_action IN ('exec', 'seed')
    AND (match(process_executable, '^/(tmp|var/tmp|dev/shm|run/user)/') OR startsWith(process_executable, '/memfd:'))
ORDER BY event_time DESC
