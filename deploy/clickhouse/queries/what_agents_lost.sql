-- en: What agents say that they lost, by cause
-- vi: Agent cho biết đã mất gì, theo nguyên nhân
-- finds:
--   - {table: agent_health, component: packets, counter: packets_dropped, label: eth0, value: 1200}
-- ignores:
--   - {table: agent_health, component: packets, counter: packets, label: eth0, value: 99999}
-- answer: {counter: packets_dropped, lost: 1200}

SELECT agent_id, component, counter, label, max(value) AS lost
FROM agent_health
WHERE event_time > now() - INTERVAL 1 DAY
    AND match(counter, 'dropped|lost|evicted|refused|overrun|overflow|unreadable|failures')
GROUP BY agent_id, boot_id, component, counter, label
HAVING lost > 0
ORDER BY lost DESC
