
-- The check of a grant as one would write it in Lua: the reference of the
-- benchmarks.  It is spared what the module does beyond that: a whole JSON
-- parser, the question for the table's "meta", counting, recording.

local lrucache = require "resty.lrucache"
local redis = require "nginx.redis"

local _M = {}

local cache = lrucache.new(200000)


local function expires(value)
    if not value or value == ngx.null then
        return 0
    end

    return tonumber(value) or tonumber(value:match('"expires":(%d+)')) or 0
end


local function lookup(app)
    local red = redis:new()
    red:set_timeout(500)

    local ok, err = red:connect(_M.redis)
    if not ok then
        ngx.log(ngx.ERR, "connect: ", err)
        return nil
    end

    local key = "app_permission:grants:{" .. _M.gateway .. ":" .. app .. "}"
    local reply, err = red:hmget(key, "-", _M.resource)
    if not reply then
        ngx.log(ngx.ERR, "hmget: ", err)
        return nil
    end

    red:set_keepalive(60000, 64)

    return { gateway = expires(reply[1]), resource = expires(reply[2]) }
end


function _M.check(cached)
    local app = ngx.var.http_x_app

    if not app or #app > 128 or not app:find("^[A-Za-z0-9._~@/+-]+$") then
        return ngx.exit(403)
    end

    local key = _M.gateway .. ":" .. app .. ":" .. _M.resource
    local grants = cached and cache:get(key)

    if not grants then
        grants = lookup(app)
        if not grants then
            return ngx.exit(503)
        end

        if cached then
            cache:set(key, grants, 60)
        end
    end

    local now = ngx.time()

    if grants.gateway > now or grants.resource > now then
        return
    end

    return ngx.exit(403)
end


return _M
