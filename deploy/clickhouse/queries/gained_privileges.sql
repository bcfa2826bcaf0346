-- en: Programs that gained capabilities or ran set-uid for a person
-- vi: Chương trình giành thêm quyền hoặc chạy set-uid cho một người dùng
-- finds:
--   - {table: processes, event_action: exec, user_id: 1000, user_name: lan, process_executable: /opt/suid, process_set_id: setuid, process_capabilities_gained: cap_sys_admin}
-- ignores:
--   - {table: processes, event_action: exec, user_id: 1000, user_name: lan, process_executable: /usr/bin/ls}
-- answer: {process_executable: /opt/suid}

SELECT process_executable, process_set_id, process_capabilities_gained, groupUniqArray(user_name) AS users, count() AS times
FROM processes
WHERE event_time > now() - INTERVAL 7 DAY AND event_action = 'exec' AND user_id >= 1000
    AND (process_set_id != '' OR process_capabilities_gained != '')
GROUP BY process_executable, process_set_id, process_capabilities_gained
ORDER BY times
