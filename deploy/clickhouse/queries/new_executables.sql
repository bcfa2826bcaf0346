-- en: Programs that ran on a host for the first time in the last day
-- vi: Chương trình lần đầu chạy trên một máy trong một ngày qua
-- finds:
--   - {table: processes, event_action: exec, process_executable: /usr/local/bin/xmrig}
-- ignores:
--   - {table: processes, event_action: exec, process_executable: /usr/bin/ls, ago: 200000}
-- answer: {value: /usr/local/bin/xmrig}

SELECT agent_id, value, first_time, last_time
FROM first_seen
WHERE kind = 'executable' AND first_time > now() - INTERVAL 1 DAY
ORDER BY first_time DESC
