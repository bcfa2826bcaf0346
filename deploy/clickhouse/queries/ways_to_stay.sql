-- en: New or changed units, cron tables, shell profiles and preloads
-- vi: Unit, cron, hồ sơ shell và thư viện nạp trước mới hoặc bị đổi
-- finds:
--   - {table: files, event_action: created, file_path: /etc/systemd/system/upd.service, user_name: root, process_executable: /usr/bin/cp}
-- ignores:
--   - {table: files, event_action: modified, file_path: /etc/passwd}
-- answer: {file_path: /etc/systemd/system/upd.service}

SELECT event_time, agent_id, event_action, file_path, process_executable, user_name
FROM files
WHERE event_time > now() - INTERVAL 7 DAY AND event_action IN ('created', 'modified', 'moved')
    AND (match(file_path, '^/(etc|lib|usr/lib)/systemd/|^/etc/cron|^/var/spool/cron|^/etc/(profile|bash|ld\\.so)')
        OR match(file_path, '/\\.(bashrc|profile|bash_profile|zshrc)$'))
ORDER BY event_time DESC
