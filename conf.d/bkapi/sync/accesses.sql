-- Last accesses back into the dashboard's database: the renewal of resource
-- permissions that are in use.  Standard input has lines of gateway/stage,
-- resource, app and second, with tabs between; bkapi-sync makes them.
--
-- The columns of the temporary table are those of the dashboard's tables, so
-- that their character sets are the same and the indexes can be used.
-- Names are compared as bytes as well: to the tables, Demo is demo.

CREATE TEMPORARY TABLE access (KEY (app, resource))
SELECT g.name AS gateway, s.name AS stage, n.resource_name AS resource,
       p.bk_app_code AS app, p.id + 1000000000000 AS last
FROM core_api g JOIN core_stage s JOIN core_released_resource n
JOIN permission_app_resource p LIMIT 0;

LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE access
(@gateway, resource, app, last)
SET gateway = SUBSTRING_INDEX(@gateway, '/', 1),
    stage = SUBSTRING_INDEX(@gateway, '/', -1);

UPDATE permission_app_resource p
JOIN (SELECT p.id, MAX(a.last) AS last
      FROM access a
      JOIN permission_app_resource p ON p.bk_app_code = a.app
      JOIN core_released_resource n ON n.api_id = p.api_id
           AND n.resource_id = p.resource_id AND n.resource_name = a.resource
           AND CAST(n.resource_name AS BINARY) = CAST(a.resource AS BINARY)
           AND CAST(p.bk_app_code AS BINARY) = CAST(a.app AS BINARY)
      JOIN core_release l ON l.api_id = n.api_id
           AND l.resource_version_id = n.resource_version_id
      JOIN core_api g ON g.id = l.api_id AND g.name = a.gateway
      JOIN core_stage s ON s.id = l.stage_id AND s.name = a.stage
      GROUP BY p.id) a ON a.id = p.id
SET p.expires = '1970-01-01' + INTERVAL a.last + 180 * 86400 SECOND,
    p.grant_type = 'auto_renew',
    p.updated_time = UTC_TIMESTAMP(6)
WHERE p.expires < '2100-01-01'
  AND p.expires > '1970-01-01' + INTERVAL a.last SECOND
  AND p.expires < '1970-01-01' + INTERVAL a.last + 180 * 86400 SECOND;

SELECT ROW_COUNT();
