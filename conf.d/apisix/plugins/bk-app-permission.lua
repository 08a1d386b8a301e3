--
-- bk-app-permission
--
-- Asks nginx's app_permission module whether the verified app has a permission
-- on the resource of this call.  Stands in the place of bk-permission: same
-- priority, same errors.  It asks in APISIX's rewrite phase, all of which comes
-- before its access phase: redirect and fault-injection answer there, after it.
--
-- Depends on:
--    * bk-auth-verify: the verified app
--    * the location /_app_permission_decide: ../config.yaml
--
-- Whatever goes wrong on the way refuses the call.
--
local core = require("apisix.core")
local errorx = require("apisix.plugins.bk-core.errorx")

local ngx = ngx -- luacheck: ignore
local pcall = pcall
local tostring = tostring
local type = type

local plugin_name = "bk-app-permission"
local decide_uri = "/_app_permission_decide"

local schema = {
    type = "object",
    properties = {},
}

local _M = {
    version = 0.1,
    priority = 17640,
    name = plugin_name,
    schema = schema,
}

-- the texts that bk-permission has; %s is the app

local denied = {
    no_grant = "no permission, bk_app_code=%s",
    gateway_grant_expired = "permission has expired, type=gateway_permission, bk_app_code=%s",
    resource_grant_expired = "permission has expired, type=resource_permission, bk_app_code=%s",
    no_app = "no app code",
    invalid_app = "invalid app code",
}

function _M.check_schema(conf)
    return core.schema.check(schema, conf)
end

local function text(value)
    return type(value) == "string" and value or ""
end

-- an app code that nothing has verified is none

local function verified_app(ctx)
    local app = ctx.var.bk_app

    if type(app) ~= "table" or app.verified ~= true then
        return ""
    end

    return text(ctx.var.bk_app_code)
end

-- a stage has its own release, and so its own resources

local function gateway_of(ctx)
    local gateway = text(ctx.var.bk_gateway_name)
    local stage = text(ctx.var.bk_stage_name)

    if gateway == "" or stage == "" then
        return ""
    end

    return gateway .. "/" .. stage
end

-- what the check of the server reads, which comes later: a call that did not
-- come through here fails there

local function hand_over(policy, gateway, resource, app)
    ngx.var.bk_perm_policy = policy
    ngx.var.bk_perm_gateway = gateway
    ngx.var.bk_perm_resource = resource
    ngx.var.bk_perm_app = app
end

local function ask(gateway, resource, app)
    return ngx.location.capture(
        decide_uri, {
            method = ngx.HTTP_GET,
            args = { gateway = gateway, resource = resource, app = app },
        }
    )
end

-- nil: it may go on

local function refusal(res, app)
    local reason = res.header and res.header["X-App-Permission-Reason"]

    -- also of a dry run.  A 200 without the header is not from the module

    if res.status == 200 and res.header["X-App-Permission-Decision"] then
        return nil
    end

    if res.status == 403 and denied[reason] then
        return errorx.new_app_no_permission():with_field("reason", (denied[reason]:gsub("%%s", function()
            return app
        end)))
    end

    if res.status == 503 and reason == "unavailable" then
        return errorx.new_service_unavailable():with_field("reason", "permission lookup failed")
    end

    if res.status == 500 and reason == "bad_config" then
        return errorx.new_invalid_resource_config():with_field(
            "reason", "policy, gateway or resource is not set"
        )
    end

    return errorx.new_internal_server_error():with_field(
        "reason", "unexpected answer to the permission lookup, status=" .. tostring(res.status)
    )
end

local function decide(ctx)
    local gateway = gateway_of(ctx)
    local resource = text(ctx.var.bk_resource_name)
    local auth = ctx.var.bk_resource_auth

    if type(auth) == "table" and auth.resource_perm_required == false then
        hand_over("open", gateway, resource, "")
        return nil
    end

    local app = verified_app(ctx)
    local err = refusal(ask(gateway, resource, app), app)

    if not err then
        hand_over("required", gateway, resource, app)
    end

    return err
end

---@param conf any
---@param ctx apisix.Context
function _M.rewrite(conf, ctx) -- luacheck: no unused
    local ok, err = pcall(decide, ctx)

    if not ok then
        core.log.error(plugin_name, " failed: ", tostring(err))
        err = errorx.new_internal_server_error():with_field("reason", "permission lookup failed")
    end

    if err then
        return errorx.exit_with_apigw_err(ctx, err, _M)
    end
end

-- APISIX's passive health checks come after this, and take the status for the
-- upstream's once one is chosen: also where the check of the server has refused
-- and the upstream was never asked

---@param conf any
---@param ctx apisix.Context
function _M.log(conf, ctx) -- luacheck: no unused
    local decision = ngx.var.app_permission_decision

    if (decision == "fail" or decision == "deny") and not ngx.var.upstream_status then
        ctx.up_checker = nil
    end
end

return _M
