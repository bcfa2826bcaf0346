-- en: Changes of accounts, sudo rules, SSH keys and PAM, with who made them
-- vi: Thay đổi về tài khoản, quyền sudo, khóa SSH và PAM, kèm người thực hiện
-- finds:
--   - {table: files, event_action: modified, file_path: /home/lan/.ssh/authorized_keys, process_executable: /usr/bin/tee, user_name: www-data}
-- ignores:
--   - {table: files, event_action: modified, file_path: /etc/motd}
-- answer: {file_path: /home/lan/.ssh/authorized_keys}

SELECT event_time, agent_id, event_action, file_path, process_executable, user_name, file_previous_hash_sha256, file_hash_sha256
FROM files
WHERE event_time > now() - INTERVAL 7 DAY AND event_action != 'seen'
    AND match(file_path, '^/etc/(passwd|shadow|group|sudoers|sudoers\\.d/|pam\\.d/|ssh/)|/authorized_keys$')
ORDER BY event_time DESC
