-- en: Gateways with a new MAC address, promiscuous interfaces, new default routes
-- vi: Gateway đổi địa chỉ MAC, giao diện bật chế độ promiscuous, tuyến mặc định mới
-- finds:
--   - {table: network_changes, event_action: changed, network_change_kind: neighbour, network_change_notes: gateway_mac_changed, network_change_subject: 192.0.2.1}
-- ignores:
--   - {table: network_changes, event_action: seen, network_change_kind: link, network_change_subject: eth0}
-- answer: {network_change_subject: 192.0.2.1}

SELECT event_time, agent_id, network_change_kind, network_change_subject, network_change_before, network_change_after, network_change_notes
FROM network_changes
WHERE event_time > now() - INTERVAL 30 DAY AND event_action != 'seen' AND network_change_notes != ''
ORDER BY event_time DESC
