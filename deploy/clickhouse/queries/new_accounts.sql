-- en: Accounts and groups that were added or changed
-- vi: Tài khoản và nhóm mới hoặc bị đổi
-- finds:
--   - {table: inventory, event_action: added, inventory_kind: user, inventory_name: toor}
-- ignores:
--   - {table: inventory, event_action: snapshot, inventory_kind: user, inventory_name: root}
-- answer: {inventory_name: toor}

SELECT event_time, agent_id, event_action, inventory_kind, inventory_name, inventory_before, inventory_after
FROM inventory
WHERE event_time > now() - INTERVAL 30 DAY AND inventory_kind IN ('user', 'group') AND event_action != 'snapshot'
ORDER BY event_time DESC
