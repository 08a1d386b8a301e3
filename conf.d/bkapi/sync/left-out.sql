-- Rows that grants.sql leaves out, and why: for whoever owns them.

SET NAMES utf8mb4;

SELECT 'whole gateway' AS what, p.id, g.name AS gateway, p.bk_app_code AS app,
       CASE WHEN p.expires IS NULL THEN 'no end'
            WHEN p.expires < '1970-01-01' THEN 'ends before 1970'
            ELSE 'the app code is no name' END AS why
FROM permission_app_api p
LEFT JOIN core_api g ON g.id = p.api_id
WHERE p.expires IS NULL OR p.expires < '1970-01-01'
   OR p.bk_app_code = '' OR LENGTH(p.bk_app_code) > 128
   OR p.bk_app_code REGEXP '[^A-Za-z0-9._~@/+-]'
   OR LENGTH(p.bk_app_code) <> CHAR_LENGTH(p.bk_app_code)
UNION ALL
SELECT 'resource', p.id, g.name, p.bk_app_code,
       CASE WHEN p.expires IS NULL THEN 'no end'
            WHEN p.expires < '1970-01-01' THEN 'ends before 1970'
            ELSE 'the app code is no name' END
FROM permission_app_resource p
LEFT JOIN core_api g ON g.id = p.api_id
WHERE p.expires IS NULL OR p.expires < '1970-01-01'
   OR p.bk_app_code = '' OR LENGTH(p.bk_app_code) > 128
   OR p.bk_app_code REGEXP '[^A-Za-z0-9._~@/+-]'
   OR LENGTH(p.bk_app_code) <> CHAR_LENGTH(p.bk_app_code);

-- of the releases: resources and stages whose names are none

SELECT 'resource of a release', n.id, CONCAT(g.name, '/', s.name), n.name,
       'the resource''s name is no name'
FROM core_release l
JOIN core_api g ON g.id = l.api_id
JOIN core_stage s ON s.id = l.stage_id
JOIN core_resource_version v ON v.id = l.resource_version_id
JOIN JSON_TABLE(v.data, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         name VARCHAR(1024) PATH '$.name')) n
WHERE n.name IS NULL OR n.name IN ('', '-') OR LENGTH(n.name) > 256
   OR n.name REGEXP '[^A-Za-z0-9._~@/+-]'
   OR LENGTH(n.name) <> CHAR_LENGTH(n.name)
UNION ALL
SELECT 'stage', s.id, CONCAT(g.name, '/', s.name), '',
       CASE WHEN LENGTH(CONCAT(g.name, s.name)) >= 64
            THEN 'gateway and stage have more than 63 bytes'
            ELSE 'the name of the gateway or the stage is no name' END
FROM core_release l
JOIN core_api g ON g.id = l.api_id
JOIN core_stage s ON s.id = l.stage_id
WHERE g.name = '' OR s.name = ''
   OR CONCAT(g.name, s.name) REGEXP '[^A-Za-z0-9._~@+-]'
   OR LENGTH(CONCAT(g.name, s.name)) <> CHAR_LENGTH(CONCAT(g.name, s.name))
   OR LENGTH(CONCAT(g.name, s.name)) >= 64;
