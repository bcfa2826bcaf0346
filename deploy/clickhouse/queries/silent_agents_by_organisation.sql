-- en: Organisations with agents that have not been heard for ten minutes, those with the highest level first
-- vi: Cơ quan có tác tử im lặng quá mười phút, cấp độ cao nhất trước
-- finds:
--   - {table: organisations, organisation_id: hue, organisation_name_vi: Thành phố Huế, organisation_path: [hue]}
--   - {table: agents, agent_id: quiet, organisation_id: hue, system_id: portal, system_level: 3, ago: 3600}
--   - {table: agents, agent_id: alive, organisation_id: hue, system_id: portal, system_level: 3}
-- ignores:
--   - {table: agents, agent_id: other, organisation_id: da-nang, system_id: office, system_level: 2}
-- answer: {organisation: Thành phố Huế, silent: 1, agents: 2, highest_level: 3}

SELECT if(organisation.organisation_name_vi != '', organisation.organisation_name_vi, agent.organisation_id) AS organisation,
    countIf(agent.last_seen < now() - INTERVAL 10 MINUTE) AS silent, count() AS agents,
    maxIf(agent.system_level, agent.last_seen < now() - INTERVAL 10 MINUTE) AS highest_level,
    groupArrayIf(10)(agent.agent_id, agent.last_seen < now() - INTERVAL 10 MINUTE) AS some_of_them
FROM agents AS agent LEFT JOIN organisations AS organisation ON agent.organisation_id = organisation.organisation_id
GROUP BY organisation
HAVING silent > 0
ORDER BY highest_level DESC, silent DESC
