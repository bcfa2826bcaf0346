-- en: Ports that began to listen in the last day
-- vi: Cổng bắt đầu lắng nghe trong một ngày qua
-- finds:
--   - {table: inventory, event_action: added, inventory_kind: listening_port, inventory_name: "tcp 0.0.0.0:4444"}
-- ignores:
--   - {table: inventory, event_action: snapshot, inventory_kind: listening_port, inventory_name: "tcp 0.0.0.0:22"}
-- answer: {inventory_name: "tcp 0.0.0.0:4444"}

SELECT event_time, agent_id, host_name, inventory_name, inventory_after
FROM inventory
WHERE event_time > now() - INTERVAL 1 DAY AND inventory_kind = 'listening_port' AND event_action = 'added'
ORDER BY event_time DESC
