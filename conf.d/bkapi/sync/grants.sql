-- Grants out of the dashboard's database, as lines for "app-permission import".
-- A gateway's name is GATEWAY/STAGE: a stage has its own release, and the same
-- resource may have another id, or another name, in another stage.
--
-- Names come from the release, never from core_resource, which is the area of
-- the editor.  Rows that cannot be grants are left out: left-out.sql lists them.
--
-- Needs JSON_TABLE: MariaDB 10.6, MySQL 8.0.  Both statements see one moment.

SET NAMES utf8mb4;
START TRANSACTION WITH CONSISTENT SNAPSHOT;

SELECT JSON_OBJECT('gateway', CONCAT(g.name, '/', s.name),
                   'app', p.bk_app_code,
                   'type', COALESCE(NULLIF(p.grant_type, ''), 'apply'),
                   'expires', TIMESTAMPDIFF(SECOND, '1970-01-01', p.expires))
FROM core_release l
JOIN core_api g ON g.id = l.api_id
JOIN core_stage s ON s.id = l.stage_id
JOIN permission_app_api p ON p.api_id = g.id
WHERE p.expires >= '1970-01-01'
  AND p.bk_app_code <> '' AND LENGTH(p.bk_app_code) <= 128
  AND p.bk_app_code NOT REGEXP '[^A-Za-z0-9._~@/+-]'
  AND LENGTH(p.bk_app_code) = CHAR_LENGTH(p.bk_app_code)
  AND g.name <> '' AND s.name <> ''
  AND CONCAT(g.name, s.name) NOT REGEXP '[^A-Za-z0-9._~@+-]'
  AND LENGTH(CONCAT(g.name, s.name)) = CHAR_LENGTH(CONCAT(g.name, s.name))
  AND LENGTH(CONCAT(g.name, s.name)) < 64;

SELECT JSON_OBJECT('gateway', CONCAT(g.name, '/', s.name),
                   'resource', n.name,
                   'app', p.bk_app_code,
                   'type', COALESCE(NULLIF(p.grant_type, ''), 'apply'),
                   'expires', TIMESTAMPDIFF(SECOND, '1970-01-01', p.expires))
FROM core_release l
JOIN core_api g ON g.id = l.api_id
JOIN core_stage s ON s.id = l.stage_id
JOIN core_resource_version v ON v.id = l.resource_version_id
JOIN JSON_TABLE(v.data, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         name VARCHAR(1024) PATH '$.name')) n
JOIN permission_app_resource p ON p.api_id = l.api_id AND p.resource_id = n.id
WHERE p.expires >= '1970-01-01'
  AND p.bk_app_code <> '' AND LENGTH(p.bk_app_code) <= 128
  AND p.bk_app_code NOT REGEXP '[^A-Za-z0-9._~@/+-]'
  AND LENGTH(p.bk_app_code) = CHAR_LENGTH(p.bk_app_code)
  AND n.name NOT IN ('', '-') AND LENGTH(n.name) <= 256
  AND n.name NOT REGEXP '[^A-Za-z0-9._~@/+-]'
  AND LENGTH(n.name) = CHAR_LENGTH(n.name)
  AND g.name <> '' AND s.name <> ''
  AND CONCAT(g.name, s.name) NOT REGEXP '[^A-Za-z0-9._~@+-]'
  AND LENGTH(CONCAT(g.name, s.name)) = CHAR_LENGTH(CONCAT(g.name, s.name))
  AND LENGTH(CONCAT(g.name, s.name)) < 64;

COMMIT;
