
-- wrk: another app in every request

local n = 0

request = function()
    n = (n * 1103515245 + 12345) % 2147483648

    return wrk.format("GET", nil,
                      { ["X-App"] = string.format("app-code%08d", n % 100000) })
end
