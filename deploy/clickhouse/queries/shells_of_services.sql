-- en: Shells that services started
-- vi: Shell do dịch vụ khởi chạy
-- finds:
--   - {table: processes, event_action: exec, process_name: sh, process_executable: /usr/bin/dash, process_parent_executable: /usr/sbin/nginx, process_command_line: sh -c id, user_name: www-data, systemd_unit: nginx.service}
-- ignores:
--   - {table: processes, event_action: exec, process_executable: /usr/bin/bash, user_name: lan, systemd_unit: session-3.scope}
-- answer: {systemd_unit: nginx.service, user_name: www-data}

SELECT event_time, agent_id, systemd_unit, user_name, process_parent_executable, process_command_line
FROM processes
WHERE event_time > now() - INTERVAL 1 DAY AND event_action = 'exec' AND systemd_unit LIKE '%.service'
    AND process_executable IN ('/usr/bin/sh', '/usr/bin/dash', '/usr/bin/bash', '/bin/sh', '/bin/bash', '/bin/dash')
    AND user_name IN ('www-data', 'nginx', 'apache', 'tomcat', 'postgres', 'mysql', 'redis', 'nobody')
ORDER BY event_time DESC
