-- The released resources: gateway/stage, method, path, 1 where paths below it
-- count as well, name, and 1 where no permission is needed.  bkapi-sync makes
-- maps for nginx of them.

SET NAMES utf8mb4;

SELECT CONCAT(g.name, '/', s.name), n.method, n.path,
       COALESCE(n.match_subpath, 0), COALESCE(n.name, ''),
       COALESCE(JSON_VALUE(n.config, '$.resource_perm_required')
                IN ('false', '0'), 0)
FROM core_release l
JOIN core_api g ON g.id = l.api_id
JOIN core_stage s ON s.id = l.stage_id
JOIN core_resource_version v ON v.id = l.resource_version_id
JOIN JSON_TABLE(v.data, '$[*]' COLUMNS (
         name VARCHAR(1024) PATH '$.name',
         method VARCHAR(16) PATH '$.method',
         path VARCHAR(2048) PATH '$.path',
         match_subpath BOOLEAN PATH '$.match_subpath',
         config TEXT PATH '$.contexts.resource_auth.config')) n
ORDER BY 1, COALESCE(n.match_subpath, 0), n.path LIKE '%{%',
         LENGTH(n.path) DESC, n.path, n.method = 'ANY', n.method;
