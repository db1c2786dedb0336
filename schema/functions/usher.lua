#!lua name=usher
-- usher.lua -- writes that are judged before they stand, for any client of Redis 7 or newer.
-- version 1
--
--   FCALL usher_host_set 1 usher:host:shop.example 10.0.0.5:8080
--   FCALL usher_route_set 1 usher:routes:acme api 'path /api/* to service:acme-api'
--
-- KEYS[1] is the record's key; what it names, and the history, are looked up under the same prefix (on a Cluster:
-- one with a hash tag, such as {usher}:, so that all of it is in one slot). A write that an edge would refuse is
-- refused here, in the same words; a good one leaves the value before it in the history. `usher schema install`
-- loads this file.

-- fields begin: written by setup/lua_fields from schema/*.def
-- name, type, range
local host_fields = {
    { "tenant", "name", "a name of a-z 0-9 . _ - with 1 to 63 characters" },
    { "to", "target", "endpoints such as 10.0.0.5:8080 with spaces between, or service:NAME" },
    { "status", "word", "active, maintenance or suspended" },
    { "retry_after", "seconds", "seconds from 1 to 86400, such as 120" },
    { "page", "text", "HTML of at most 8192 bytes" },
    { "https", "word", "off or redirect" },
    { "path", "word", "normal or raw" },
    { "timeout", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "stream_timeout", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "tunnel_timeout", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "share", "number", "a number from 1 to 1000" },
    { "retries", "count", "a number from 0 to 3" },
    { "modules", "modules", "modules such as headers(set X-Edge=1), with spaces between, or none" },
    { "max_conns", "number", "off, or a number from 1 to 1000000" },
    { "max_requests", "number", "off, or a number from 1 to 1000000" },
    { "rps", "number", "off, or a number from 1 to 1000000" },
    { "burst", "number", "a number from 1 to 1000000" },
    { "rps_of", "word", "edge or cluster" },
    { "max_body", "size", "off, or bytes such as 512, 64k, 10m or 1g" },
    { "bandwidth", "size", "off, or bytes such as 512, 64k, 10m or 1g" },
    { "allow", "ranges", "off, or ranges such as 10.0.0.0/8, 2001:db8::/32" },
    { "deny", "ranges", "off, or ranges such as 10.0.0.0/8, 2001:db8::/32" },
}
local tenant_fields = {
    { "to", "target", "endpoints such as 10.0.0.5:8080 with spaces between, or service:NAME" },
    { "status", "word", "active, maintenance or suspended" },
    { "retry_after", "seconds", "seconds from 1 to 86400, such as 120" },
    { "page", "text", "HTML of at most 8192 bytes" },
    { "https", "word", "off or redirect" },
    { "path", "word", "normal or raw" },
    { "timeout", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "stream_timeout", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "tunnel_timeout", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "share", "number", "a number from 1 to 1000" },
    { "retries", "count", "a number from 0 to 3" },
    { "modules", "modules", "modules such as headers(set X-Edge=1), with spaces between, or none" },
    { "max_conns", "number", "off, or a number from 1 to 1000000" },
    { "max_requests", "number", "off, or a number from 1 to 1000000" },
    { "rps", "number", "off, or a number from 1 to 1000000" },
    { "burst", "number", "a number from 1 to 1000000" },
    { "rps_of", "word", "edge or cluster" },
    { "max_body", "size", "off, or bytes such as 512, 64k, 10m or 1g" },
    { "bandwidth", "size", "off, or bytes such as 512, 64k, 10m or 1g" },
    { "allow", "ranges", "off, or ranges such as 10.0.0.0/8, 2001:db8::/32" },
    { "deny", "ranges", "off, or ranges such as 10.0.0.0/8, 2001:db8::/32" },
}
local service_fields = {
    { "balance", "word", "round-robin, random, random-two, least-conn or hash" },
    { "hash_by", "hashed", "client, path, header:NAME or cookie:NAME" },
    { "hash_bound", "count", "a percentage from 101 to 1000, such as 125" },
    { "sticky", "cookie", "a cookie's name of 1 to 64 letters, digits, - and _" },
    { "slow_start", "time", "a time from 1ms to 1h, such as 30s" },
    { "zone_min", "count", "a percentage from 0 to 100" },
    { "owner", "name", "a name of a-z 0-9 . _ - with 1 to 63 characters" },
    { "send_proxy", "word", "off, v1 or v2" },
    { "health", "word", "off, tcp or http" },
    { "health_path", "path", "a path such as /healthz or /healthz?deep=1, of at most 1024 bytes" },
    { "health_host", "host", "a host, with a port or without" },
    { "health_method", "method", "GET, HEAD or OPTIONS" },
    { "health_status", "statuses", "statuses such as 200-399 or 200,204, each from 100 to 599" },
    { "health_body", "text", "a text of 1 to 256 bytes" },
    { "health_interval", "time", "a time from 100ms to 1h, such as 5s" },
    { "health_fast", "time", "a time from 100ms to 1h, such as 1s" },
    { "health_timeout", "time", "a time from 10ms to 1m, such as 2s" },
    { "health_rise", "count", "a number from 1 to 100" },
    { "health_fall", "count", "a number from 1 to 100" },
    { "health_port", "count", "a port from 1 to 65535" },
    { "panic", "count", "a percentage from 0 to 100" },
    { "tunnels", "word", "finish or cut" },
    { "max_conns", "number", "a number from 0 to 100000; 0: any number" },
    { "max_conns_of", "word", "edge or cluster" },
    { "queue", "number", "a number from 0 to 10000" },
    { "queue_timeout", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "retries", "count", "a number from 0 to 3" },
    { "retry_on", "words", "some of connect, closed, 502, 503, 504 with spaces between, or none" },
    { "retry_budget", "count", "a number from 0 to 100" },
    { "hedge", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "outlier_failures", "count", "a number from 0 to 1000" },
    { "outlier_gateway_errors", "count", "a number from 0 to 1000" },
    { "outlier_latency", "latency", "a time such as 500ms, or 1.5x to 100x of the others' median" },
    { "outlier_eject", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "outlier_max_ejected", "count", "a number from 0 to 100" },
    { "breaker", "count", "a number from 0 to 100" },
    { "breaker_min", "count", "a number from 1 to 1000000" },
    { "breaker_open", "time", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
}
local endpoint_options = {
    { "weight", "number", "a weight from 0 to 1000, such as 100 or weight=100" },
    { "max_conns", "number", "a number from 0 to 100000; 0: any number" },
    { "backup", "switch", "backup alone" },
    { "drain", "switch", "drain alone" },
    { "zone", "name", "a name of a-z 0-9 . _ - with 1 to 63 characters, such as zone=eu-1a" },
    { "root", "path", "an absolute path without . .. or spaces, such as root=/srv/app" },
    { "index", "path", "a path below root, such as index=index.php" },
    { "path_info", "switch", "path_info alone" },
    { "keep", "switch", "keep alone" },
}
local rule_words = {
    { "path", "condition", "/x, or /x/* with * as the whole last segment, or ~REGEX" },
    { "method", "condition", "methods in capitals, such as GET or GET,HEAD" },
    { "header", "condition", "NAME, NAME=VALUE or NAME~REGEX of a header" },
    { "query", "condition", "NAME or NAME=VALUE" },
    { "cookie", "condition", "NAME or NAME=VALUE" },
    { "from", "condition", "ranges such as 10.0.0.0/8 or 10.0.0.0/8,2001:db8::/32" },
    { "websocket", "condition", "nothing behind it" },
    { "to", "action", "service:NAME, or endpoints such as 10.0.0.5:8080" },
    { "split", "action", "service:NAME=WEIGHT, once for each service, weights from 0 to 1000 and not all 0" },
    { "redirect", "action", "301, 302, 303, 307 or 308, then a URL that begins with https://, http:// or /" },
    { "respond", "action", "a code from 200 to 599, then a text in quotes, or nothing" },
    { "deny", "action", "nothing behind it" },
    { "strip", "modifier", "a path such as /api" },
    { "prepend", "modifier", "a path such as /v2" },
    { "host", "modifier", "a host, with a port or without" },
    { "set", "modifier", "NAME=VALUE of a header" },
    { "unset", "modifier", "NAME of a header" },
    { "timeout", "modifier", "a time from 1ms to 24h, such as 500ms, 5s or 2m" },
    { "priority", "modifier", "a number from -1000 to 1000" },
    { "modules", "modifier", "modules such as headers(set X-Edge=1), with spaces between, or none" },
}
-- the most fields that a hash of each family may have
local families = {
    host = 1024,
    tenant = 1024,
    routes = 20000,
    service = 1024,
    endpoints = 1024,
    defaults = 1024,
}
-- fields end

local STRING_MAX = 8192
local ENDPOINTS_MAX = 1024
local WEIGHT_MAX = 1000
local SIZE_MAX = 2 ^ 50
local RANGES_MAX = 256
local TIME_MAX_MS = 24 * 60 * 60 * 1000
local HISTORY_VALUE_MAX = 64 * 1024
local RETRY_AFTER_MAX = 24 * 60 * 60
local NAME = 'a name of a-z 0-9 . _ - with 1 to 63 characters'
local TARGET = 'endpoints such as 10.0.0.5:8080, or service:NAME, or tenant:ID'

-- --- what is wrong, as edges say it ---

local function quoted(text)
    local short = #text > 80 and text:sub(1, 77) .. '...' or text
    return '"' .. short:gsub('[%c\128-\255"\\]', function(c)
        if c == '"' or c == '\\' then return '\\' .. c end
        return string.format('\\x%02x', c:byte())
    end) .. '"'
end

-- Errors are tables on their way up, so that mistakes of this file are told from refusals.
local function refuse(field, value, expected)
    local at = field and field ~= '' and 'field ' .. field .. ': ' or ''
    error({ refusal = at .. 'got ' .. quoted(value) .. ', expected ' .. expected }, 0)
end

-- --- names, hosts, addresses ---

local function is_name(text)
    return #text <= 63 and text:match('^[a-z0-9][a-z0-9._-]*$') ~= nil
end

local function is_ipv4(text)
    local parts = { text:match('^(%d+)%.(%d+)%.(%d+)%.(%d+)$') }
    if #parts ~= 4 then return false end
    for _, part in ipairs(parts) do
        if #part > 3 or tonumber(part) > 255 or (#part > 1 and part:sub(1, 1) == '0') then return false end
    end
    return true
end

-- Groups of one side of "::"; nil when one of them is none.
local function count_groups(text, last)
    local count = 0
    if text == '' then return 0 end
    for group, stop in (text .. ':'):gmatch('([^:]*)(:)') do
        count = count + 1
        if not group:match('^%x%x?%x?%x?$') then
            if not (last and is_ipv4(group) and text:sub(-#group) == group) then return nil end
            count = count + 1
        end
    end
    return count
end

local function is_ipv6(text)
    local from, to = text:find('::', 1, true)
    if #text > 45 then return false end
    if not from then return count_groups(text, true) == 8 end
    if text:find('::', from + 1, true) then return false end
    local left, right = text:sub(1, from - 1), text:sub(to + 1)
    local before, after = count_groups(left, false), count_groups(right, true)
    return before ~= nil and after ~= nil and before + after < 8
end

-- 10.0.0.0/8, or an address alone.
local function is_range(text)
    local ip, bits = text:match('^([^/]*)/(%d+)$')
    ip = ip or text
    local most = is_ipv4(ip) and 32 or is_ipv6(ip) and 128
    return most and not (bits and (#bits > 3 or tonumber(bits) > most))
end

-- The eight groups of an IPv6 address that is one.
local function groups_of(v6)
    v6 = v6:gsub('(%d+)%.(%d+)%.(%d+)%.(%d+)$', function(a, b, c, d)
        return ('%x:%x'):format(a * 256 + b, c * 256 + d)
    end)
    local from, to = v6:find('::', 1, true)
    local groups, behind = {}, {}
    for group in v6:sub(1, from or -1):gmatch('%x+') do table.insert(groups, tonumber(group, 16)) end
    if not from then return groups end
    for group in v6:sub(to + 1):gmatch('%x+') do table.insert(behind, tonumber(group, 16)) end
    while #groups + #behind < 8 do table.insert(groups, 0) end
    for _, group in ipairs(behind) do table.insert(groups, group) end
    return groups
end

local LOCAL = 'an endpoint that is not link-local: 169.254.0.0/16, fe80::/10 (--allow-endpoints lets it)'
local NO_PLACE = 'an endpoint with an address: 0.0.0.0/8 and :: are none (--allow-endpoints lets it)'
local MANY = 'an endpoint that is one place: no multicast, no broadcast (--allow-endpoints lets it)'

local function check_place_v4(field, whole, high, low)
    if high < 256 then refuse(field, whole, NO_PLACE) end
    if high == 0xa9fe then refuse(field, whole, LOCAL) end
    if (high >= 0xe000 and high < 0xf000) or (high == 0xffff and low == 0xffff) then refuse(field, whole, MANY) end
end

local function check_place_v6(field, whole, groups)
    local zeros = 0
    while zeros < 8 and groups[zeros + 1] == 0 do zeros = zeros + 1 end
    if zeros == 5 and groups[6] == 0xffff then return check_place_v4(field, whole, groups[7], groups[8]) end
    if zeros == 8 then refuse(field, whole, NO_PLACE) end
    if groups[1] >= 0xfe80 and groups[1] < 0xfec0 then refuse(field, whole, LOCAL) end
    if groups[1] >= 0xff00 then refuse(field, whole, MANY) end
end

-- Below a folder, in normal form.
local function is_below(path)
    if path:find('[%c \\\127]') then return false end
    for segment in (path .. '/'):gmatch('([^/]*)/') do
        if segment == '' or segment == '.' or segment == '..' then return false end
    end
    return true
end

-- Labels of lower case; the last is no number.
local function is_host_name(text)
    local last
    if #text == 0 or #text > 253 then return false end
    for label in (text .. '.'):gmatch('([^.]*)%.') do
        if #label == 0 or #label > 63 or label:match('[^a-z0-9_-]') or label:sub(1, 1) == '-' then return false end
        last = label
    end
    return not last:match('^%d+$')
end

local ENDPOINT = 'ADDRESS:PORT or NAME:PORT, such as 10.0.0.5:8080, [2001:db8::5]:8080 or app.internal:8080'
local UNIX = 'unix: and an absolute path of at most 107 bytes without . .. or spaces, such as unix:/run/app.sock'

-- Where sockets may be is said to each edge, so functions write none.
local function check_unix(field, path, whole)
    if path:sub(1, 1) ~= '/' or #path > 107 or not is_below(path:sub(2)) then refuse(field, whole, UNIX) end
    refuse(field, whole, 'a unix socket below a folder that --unix-endpoints names')
end

local function check_named(field, text, whole)
    local name, port = text:match('^([^:]*):(.*)$')
    if not name or not is_host_name(name) or not port:match('^%d+$') or #port > 20 or tonumber(port) > 4294967295 then
        refuse(field, whole, ENDPOINT)
    end
    if tonumber(port) < 1 or tonumber(port) > 65535 then refuse(field, whole, 'a port from 1 to 65535') end
    return name .. ' ' .. tonumber(port)
end

local function check_place(field, text, whole)
    local ip, port = text:match('^(.*):([^:]*)$')
    local v6 = ip and ip:match('^%[(.*)%]$')
    local path = text:match('^unix:(.*)$')
    if path then check_unix(field, path, whole) end
    if not ip or not ((v6 and is_ipv6(v6)) or (not v6 and is_ipv4(ip))) then return check_named(field, text, whole) end
    if not port:match('^%d+$') or #port > 20 or tonumber(port) < 1 or tonumber(port) > 65535 then
        refuse(field, whole, 'a port from 1 to 65535')
    end
    if v6 then
        local groups = groups_of(v6)
        check_place_v6(field, whole, groups)
        ip = table.concat(groups, ':')
    else
        local a, b, c, d = ip:match('^(%d+)%.(%d+)%.(%d+)%.(%d+)$')
        check_place_v4(field, whole, a * 256 + b, c * 256 + d)
    end
    return ip .. ' ' .. tonumber(port)
end

-- An endpoint, in a form in which two spellings of an address are alike; and whether it speaks FastCGI. `whole` is
-- quoted when it is wrong.
local function check_endpoint(field, text, whole)
    local fastcgi = text:match('^fcgi://(.*)$')
    if fastcgi then return 'fcgi ' .. check_place(field, fastcgi, whole), true end
    return check_place(field, text, whole), false
end

local function is_host(text)
    if text == '*' then return true end
    if #text == 0 or #text > 253 then return false end
    if text:sub(1, 1) == '[' then
        local v6 = text:match('^%[([0-9a-f:.]*)%]$')
        return v6 ~= nil and is_ipv6(v6)
    end
    local rest = text:match('^%*%.(.*)$') or text
    for label, dot in (rest .. '.'):gmatch('([^.]*)(%.)') do
        if #label == 0 or #label > 63 or label:match('[^a-z0-9_-]') then return false end
    end
    return true
end

-- --- what records name ---

local function exists(key)
    return redis.call('EXISTS', key) == 1
end

local function check_service(field, record, name)
    local prefix = record.prefix
    if not exists(prefix .. 'service:' .. name) and not exists(prefix .. 'endpoints:' .. name) then
        refuse(field, name, 'a service that exists: there is no ' .. prefix .. 'endpoints:' .. name)
    end
    if redis.call('TYPE', prefix .. 'service:' .. name).ok ~= 'hash' then return end
    local owner = redis.call('HGET', prefix .. 'service:' .. name, 'owner')
    if owner and owner ~= record.tenant then
        refuse(field, name, 'a service that this tenant may name: ' .. prefix .. 'service:' .. name ..
            ' says owner ' .. owner)
    end
end

local function check_tenant(field, record, id)
    if not exists(record.prefix .. 'tenant:' .. id) then
        refuse(field, id, 'a tenant that exists: there is no ' .. record.prefix .. 'tenant:' .. id)
    end
end

-- --- options of endpoints ---

local function number_within(text, least, most)
    return text:match('^%d+$') and #text <= 15 and tonumber(text) >= least and tonumber(text) <= most
end

local option_is_right = {
    weight = function(value) return number_within(value, 0, WEIGHT_MAX) end,
    max_conns = function(value) return number_within(value, 0, 100000) end,
    zone = is_name,
    root = function(value) return value == '/' or (value:sub(1, 1) == '/' and is_below(value:sub(2))) end,
    index = is_below,
}

-- "weight=5", or "keep": its name; or nil, and what was expected.
local function read_option(word)
    local name, value = word:match('^([^=]*)=(.*)$')
    for _, row in ipairs(endpoint_options) do
        if row[1] == (name or word) then
            local switch = row[2] == 'switch'
            if switch ~= (value == nil) or (value and not option_is_right[name](value)) then return nil, row[3] end
            return row[1]
        end
    end
    return nil, 'options of an endpoint, such as weight=100'
end

-- Do the options go with what the endpoint is? Else what was expected.
local function misfit(fastcgi, options)
    if fastcgi and not options.root then return 'root=/FOLDER behind it, where its scripts lie' end
    if not fastcgi and (options.root or options.index or options.path_info or options.keep) then
        return 'fcgi:// before an endpoint with root, index, path_info or keep'
    end
end

-- Those that may stand in a list, behind their endpoint.
local function is_list_option(word)
    local name = word:match('^[^=]*')
    return name == 'root' or name == 'index' or name == 'path_info' or name == 'keep'
end

-- An endpoint, or an option of the one before it. What was expected, when it is neither.
local function add_to_list(list, word, check)
    if #list > 0 and is_list_option(word) then
        local option, expected = read_option(word)
        if not option then return expected end
        list[#list].options[option] = true
        return
    end
    local address, fastcgi = check(word)
    if list.seen[address] then return 'each endpoint once' end
    list.seen[address] = true
    list[#list + 1] = { fastcgi = fastcgi, options = {} }
end

local function list_misfit(list)
    for _, endpoint in ipairs(list) do
        local wrong = misfit(endpoint.fastcgi, endpoint.options)
        if wrong then return wrong end
    end
end

-- service:NAME, or endpoints; `at` says where in the record, for what the names are asked of.
local function check_target(field, text, record, expected)
    local trimmed = text:match('^[ \t]*(.-)[ \t]*$')
    local service = trimmed:match('^service:(.*)$')
    if service then
        if not is_name(service) then refuse(field, text, 'service: with ' .. NAME) end
        record.names[#record.names + 1] = function() check_service(field, record, service) end
        return
    end
    local list = { seen = {} }
    for word in trimmed:gmatch('[^ \t]+') do
        local wrong = add_to_list(list, word, function(endpoint) return check_endpoint(field, endpoint, text) end)
        if wrong then refuse(field, text, wrong) end
    end
    if #list == 0 then refuse(field, text, expected) end
    if #list > ENDPOINTS_MAX then refuse(field, text, 'at most 1024 endpoints') end
    local wrong = list_misfit(list)
    if wrong then refuse(field, text, wrong) end
end

-- --- the types of fields ---

local function time_ms(text)
    local digits, unit = text:match('^(%d+)(%a+)$')
    local factor = ({ ms = 1, s = 1000, m = 60000, h = 3600000 })[unit or '']
    if not factor or #digits > 12 then return nil end
    local ms = tonumber(digits) * factor
    return ms >= 1 and ms <= TIME_MAX_MS and ms or nil
end

local function is_token(text)
    return #text > 0 and #text <= 256 and not text:find("[^A-Za-z0-9!#$%%&'*+.^_`|~-]")
end

local check_type = {
    target = check_target,
    word = function(field, text, record, range)
        for word in range:gmatch('[a-z0-9-]+') do
            if word == text and word ~= 'or' then return end
        end
        refuse(field, text, range)
    end,
    name = function(field, text, record, range)
        if not is_name(text) then refuse(field, text, range) end
        if field == 'tenant' then
            record.tenant = text
            record.names[#record.names + 1] = function() check_tenant(field, record, text) end
        end
    end,
    seconds = function(field, text, record, range)
        if not number_within(text, 1, RETRY_AFTER_MAX) then refuse(field, text, range) end
    end,
    time = function(field, text, record, range)
        local least, most = range:match('from (%w+) to (%w+)')
        local ms = time_ms(text)
        if not ms or ms < time_ms(least) or ms > time_ms(most) then refuse(field, text, range) end
    end,
    count = function(field, text, record, range)
        local least, most = range:match('from (%d+) to (%d+)')
        if not number_within(text, tonumber(least), tonumber(most)) then refuse(field, text, range) end
    end,
    number = function(field, text, record, range)
        local least, most = range:match('from (%d+) to (%d+)')
        if text == 'off' and range:match('^off,') then return end
        if not number_within(text, tonumber(least), tonumber(most)) then refuse(field, text, range) end
    end,
    size = function(field, text, record, range)
        local digits, unit = text:match('^(%d+)([kmg]?)$')
        local factor = ({ [''] = 1, k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 })[unit or '']
        if text == 'off' and range:match('^off,') then return end
        if not digits or not number_within(digits, 1, SIZE_MAX / factor) then refuse(field, text, range) end
    end,
    ranges = function(field, text, record, range)
        local count = 0
        if text == 'off' then return end
        for part in text:gmatch('[^ \t\r\n,]+') do
            count = count + 1
            if count > RANGES_MAX then refuse(field, text, 'at most 256 ranges') end
            if not is_range(part) then
                local ip, most = part:match('^([^/]*)/'), nil
                if ip and is_ipv4(ip) then most = 32 elseif ip and is_ipv6(ip) then most = 128 end
                refuse(field, text, most and '0 to ' .. most .. ' behind the slash' or
                    'a range of addresses such as 10.0.0.0/8 or fd00::/8')
            end
        end
        if count == 0 then refuse(field, text, range) end
    end,
    words = function(field, text, record, range)
        local known, count, none = {}, 0, false
        for word in range:match('some of (.-) with'):gmatch('[a-z0-9-]+') do known[word] = true end
        for word in text:gmatch('[^ \t]+') do
            count, none = count + 1, none or word == 'none'
            if not known[word] and word ~= 'none' then refuse(field, text, range) end
        end
        if count == 0 or (none and count > 1) then refuse(field, text, range) end
    end,
    latency = function(field, text, record, range)
        local times = text:match('^(%d%d?%d?)x$') or text:match('^(%d%d?%d?%.%d)x$')
        if times and tonumber(times) >= 1.5 and tonumber(times) <= 100 then return end
        if not time_ms(text) then refuse(field, text, range) end
    end,
    text = function(field, text, record, range)
        local least, most = range:match('(%d+) to (%d+) bytes')
        if least and (#text < tonumber(least) or #text > tonumber(most)) then refuse(field, text, range) end
    end,
    -- One of the words; in place of NAME, that of a header or cookie.
    hashed = function(field, text, record, range)
        for word in range:gmatch('[%a:]+') do
            local named = word:match('^(%l+:)NAME$')
            if named and text:sub(1, #named) == named and is_token(text:sub(#named + 1)) then return end
            if word == text and word ~= 'or' then return end
        end
        refuse(field, text, range)
    end,
    cookie = function(field, text, record, range)
        if not is_token(text) or #text > 64 then refuse(field, text, range) end
    end,
    modules = function() end, -- what modules take only edges know
    method = function(field, text, record, range)
        for word in range:gmatch('%u+') do
            if word == text then return end
        end
        refuse(field, text, range)
    end,
    path = function(field, text, record, range)
        if text:sub(1, 1) ~= '/' or #text > 1024 then refuse(field, text, range) end
        if text:find('[^!"$-~]') then
            refuse(field, text, 'a path without spaces, #, control octets and 8-bit octets')
        end
    end,
    statuses = function(field, text, record, range)
        local count = 0
        for part in (text .. ','):gmatch('([^,]*),') do
            local from, to = part:match('^(%d%d%d)%-?(%d*)$')
            if from and part == from then to = from end
            if not from or not number_within(from, 100, 599) or #to ~= 3 or not number_within(to, 100, 599) then
                refuse(field, text, range)
            end
            count = count + 1
            if to < from then refuse(field, text, 'ranges that begin with their lower end') end
            if count > 16 then refuse(field, text, 'at most 16 of them') end
        end
    end,
}

-- --- records ---

-- KEYS[1], taken apart: prefix, family, name. Raises what is wrong with it.
local function open_record(keys, family)
    if #keys ~= 1 then error({ refusal = 'one key is expected: that of the record' }, 0) end
    local key = keys[1]
    local single = family == 'defaults'
    local prefix, name = key:match(single and '^(.*)defaults()$' or '^(.*)' .. family .. ':(.*)$')
    if not prefix or (prefix ~= '' and prefix:match('%w$')) then
        refuse('', key, 'a key such as usher:' .. family .. (single and '' or ':NAME'))
    end
    local record = { key = key, prefix = prefix, family = family, name = single and '' or name, names = {} }
    if single then return record end
    if family == 'host' and not is_host(name) then
        refuse('', name, 'a key that ends in a host: lower case, no port, no dot at its end; or *.parent, or *')
    elseif family ~= 'host' and not is_name(name) then
        refuse('', name, 'a key that ends in ' .. NAME)
    end
    if family == 'tenant' or family == 'routes' then record.tenant = name end
    return record
end

local function check_type_of(record, wanted)
    local kind = redis.call('TYPE', record.key).ok
    if kind ~= 'none' and kind ~= wanted then
        refuse('', kind, 'a ' .. wanted .. ': delete ' .. record.key .. ' first')
    end
end

-- Pairs of names and values as a list, each judged by `check`.
local function take_pairs(args, check)
    if #args == 0 or #args % 2 ~= 0 then
        error({ refusal = 'pairs of names and values are expected' }, 0)
    end
    for i = 1, #args, 2 do
        if #args[i + 1] > STRING_MAX then
            refuse(args[i], args[i + 1], 'at most 8192 bytes')
        end
        check(args[i], args[i + 1])
    end
end

local function check_names(record)
    for _, check in ipairs(record.names) do check() end
end

local function fields_said(rows)
    local list = {}
    for i, row in ipairs(rows) do list[i] = row[1] end
    return table.concat(list, ', ')
end

-- One field by its row; false: there is no such row.
local function check_field(rows, name, value, record)
    for _, row in ipairs(rows) do
        if row[1] == name then
            check_type[row[2]](name, value, record, row[3])
            return true
        end
    end
    return false
end

-- The hash as it will be may have at most so many fields.
local function check_room(record, args)
    local count = redis.call('HLEN', record.key)
    for i = 1, #args, 2 do count = count + 1 - redis.call('HEXISTS', record.key, args[i]) end
    if count > families[record.family] then
        refuse('', 'too large', 'a hash of at most ' .. families[record.family] .. ' fields')
    end
end

-- --- writing ---

-- Bytes, not letters of some language: as edges sort.
local function comes_before(a, b)
    for i = 1, math.min(#a, #b) do
        local x, y = a:byte(i), b:byte(i)
        if x ~= y then return x < y end
    end
    return #a < #b
end

local ESCAPES = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t', ['\a'] = '\\a',
    ['\b'] = '\\b' }

local function history_word(text)
    if text:match('^[A-Za-z0-9_.:/@%%+=,*~%[%]{}()!?&-]+$') then return text end
    return '"' .. text:gsub('[%c\128-\255"\\]', function(c)
        return ESCAPES[c] or string.format('\\x%02x', c:byte())
    end) .. '"'
end

-- A record as the history has it: the word of its type, and its value.
local function said(key)
    local kind = redis.call('TYPE', key).ok
    if kind == 'string' then
        local text = redis.call('GET', key)
        if #text > HISTORY_VALUE_MAX then return 'large', '' end
        return 'string', history_word(text)
    elseif kind ~= 'hash' then
        return kind == 'none' and 'none' or 'large', ''
    end
    local flat, fields, names, size = redis.call('HGETALL', key), {}, {}, 0
    for i = 1, #flat, 2 do
        fields[flat[i]] = flat[i + 1]
        names[#names + 1] = flat[i]
        size = size + #flat[i] + #flat[i + 1]
    end
    if size > HISTORY_VALUE_MAX then return 'large', '' end
    table.sort(names, comes_before)
    for i, name in ipairs(names) do names[i] = history_word(name) .. ' ' .. history_word(fields[name]) end
    return 'hash', table.concat(names, ' ')
end

-- Whose history it is: the tenant's that the record is of, now or before.
local function owner_now(record)
    local key = record.key
    if record.family == 'tenant' or record.family == 'routes' then return record.name end
    if record.family == 'host' then
        local kind = redis.call('TYPE', key).ok
        if kind == 'hash' then return redis.call('HGET', key, 'tenant') or nil end
        return kind == 'string' and redis.call('GET', key):match('^[ \t]*tenant:(.-)[ \t]*$') or nil
    end
    if record.family == 'defaults' then return nil end
    local service = record.prefix .. 'service:' .. record.name
    return redis.call('TYPE', service).ok == 'hash' and redis.call('HGET', service, 'owner') or nil
end

-- Writes, and records it as an edge would, which then does not: store/history_script.c.
local function write(record, ...)
    local before_type, before = said(record.key)
    local owner = owner_now(record)
    redis.call(...)
    local after_type, after = said(record.key)
    if after_type == before_type and after == before then return redis.status_reply('OK') end
    owner = owner_now(record) or owner
    if not owner or not is_name(owner) then owner = '-' end
    redis.call('SET', record.prefix .. 'recorded:' .. record.key:sub(#record.prefix + 1),
        after_type .. ':' .. redis.sha1hex(after), 'PX', 60000)
    redis.call('XADD', record.prefix .. 'history:' .. owner, 'MAXLEN', '~', 1000, '*', 'key', record.key,
        'before_type', before_type, 'before', before, 'after_type', after_type, 'after', after, 'edge', 'function')
    return redis.status_reply('OK')
end

local function set_fields(record, rows, args)
    check_type_of(record, 'hash')
    -- Whose services it may name depends on its tenant: the new one, else the one it has.
    if record.family == 'host' then record.tenant = redis.call('HGET', record.key, 'tenant') or nil end
    take_pairs(args, function(name, value)
        if not check_field(rows, name, value, record) then
            refuse(name, name, 'one of the fields ' .. fields_said(rows))
        end
    end)
    check_names(record)
    check_room(record, args)
    return write(record, 'HSET', record.key, unpack(args))
end

local function unset_fields(record, args)
    if #args == 0 then error({ refusal = 'names of fields are expected' }, 0) end
    check_type_of(record, 'hash')
    return write(record, 'HDEL', record.key, unpack(args))
end

-- "100", "weight=100 ...", or "100 backup ...".
local function check_options(field, text, fastcgi)
    local first, rest = text:match('^[ \t]*([^ \t]*)(.*)$')
    local options = {}
    if first == '' or first:match('^[0-9-]') then
        if not number_within(first, 0, WEIGHT_MAX) then refuse(field, text, endpoint_options[1][3]) end
    else
        rest = text
    end
    for word in rest:gmatch('[^ \t]+') do
        local option, expected = read_option(word)
        if not option then refuse(field, word, expected) end
        options[option] = true
    end
    local wrong = misfit(fastcgi, options)
    if wrong then refuse(field, text, wrong) end
end

local function host_set(keys, args)
    local record = open_record(keys, 'host')
    if #args ~= 1 then return set_fields(record, host_fields, args) end
    local text = args[1]
    local trimmed = text:match('^[ \t]*(.-)[ \t]*$')
    local tenant = trimmed:match('^tenant:(.*)$')
    if #text > STRING_MAX then refuse('', 'too large', 'a string of at most 8192 bytes') end
    if tenant then
        if not is_name(tenant) then refuse('', text, 'tenant: with ' .. NAME) end
        check_tenant('tenant', record, tenant)
    elseif trimmed:find('[.:]') then
        check_target('', text, record, TARGET)
    else
        refuse('', text, TARGET)
    end
    check_names(record)
    return write(record, 'SET', record.key, text)
end

local function endpoint_set(keys, args)
    local record = open_record(keys, 'endpoints')
    local seen = {}
    check_type_of(record, 'hash')
    take_pairs(args, function(name, value)
        local address, fastcgi = check_endpoint(name, name, name)
        seen[address] = name
        check_options(name, value, fastcgi)
    end)
    -- One endpoint in two spellings would make the whole record bad.
    for _, other in ipairs(redis.call('HKEYS', record.key)) do
        local good, address = pcall(check_endpoint, other, other, other)
        if good and seen[address] and seen[address] ~= other then
            refuse(other, seen[address], 'each endpoint once')
        end
    end
    for i = 1, #args, 2 do
        if seen[check_endpoint('', args[i], args[i])] ~= args[i] then
            refuse(args[i], args[i], 'each endpoint once')
        end
    end
    check_room(record, args)
    return write(record, 'HSET', record.key, unpack(args))
end

-- --- rules: conditions, one action, modifiers. Whether a regex is one, only edges can tell ---

local RULE_PARTS_MAX = 64
local RULE_LIST_MAX = 64
local SEGMENTS_MAX = 64
local REPEATED = { header = true, query = true, cookie = true, set = true, unset = true }
local FORWARDS = { to = true, split = true }
local HEADERS_TAKEN = {
    ['host'] = true, ['connection'] = true, ['content-length'] = true, ['transfer-encoding'] = true, ['te'] = true,
    ['trailer'] = true, ['upgrade'] = true, ['keep-alive'] = true, ['expect'] = true, ['proxy-connection'] = true,
    ['proxy-authenticate'] = true, ['proxy-authorization'] = true, ['forwarded'] = true, ['x-forwarded-for'] = true,
    ['x-forwarded-proto'] = true, ['x-forwarded-host'] = true, ['via'] = true, ['cdn-loop'] = true,
    ['http2-settings'] = true, ['usher'] = true,
}

local function refuse_word(rule, word, expected)
    refuse(rule, word.text, 'at column ' .. word.column .. ' ' .. expected)
end

-- Words with quotes taken away; \" \\ \n \t are what they are in C, any other backslash is itself.
local function cut_words(rule, text)
    local words, at = {}, 1
    while true do
        at = text:find('[^ \t\r\n]', at)
        if not at then break end
        local word, piece, first = { column = at, quoted = text:sub(at, at) == '"' }, {}, at
        while at <= #text and not text:sub(at, at):match('[ \t\r\n]') do
            local c = text:sub(at, at)
            at = at + 1
            if c == '"' then
                local closed = false
                while at <= #text and not closed do
                    c = text:sub(at, at)
                    at = at + 1
                    if c == '"' then
                        closed = true
                    else
                        local escaped = c == '\\' and ({ n = '\n', t = '\t', ['"'] = '"', ['\\'] = '\\' })[text:sub(at, at)]
                        if escaped then at = at + 1 end
                        piece[#piece + 1] = escaped or c
                    end
                end
                word.text = text:sub(first, at - 1)
                if not closed then refuse_word(rule, word, 'a quote at its end') end
            elseif c:match('%c') then
                word.text = text:sub(first, at - 1)
                refuse_word(rule, word, 'no control octets outside quotes')
            else
                piece[#piece + 1] = c
            end
        end
        word.text = table.concat(piece)
        words[#words + 1] = word
    end
    words.last = { text = '', column = #text + 1 }
    return words
end

-- The form that paths are compared in; nil: there is no such path.
local function normal_path(text)
    if text:find('%c') then return nil end
    local bad = false
    local decoded = text:gsub('%%(.?.?)', function(hex)
        local code = hex:match('^%x%x$') and tonumber(hex, 16)
        if not code or code < 0x20 or code == 0x7f then
            bad = true
            return nil
        end
        local c = string.char(code)
        return c:match('[A-Za-z0-9._~-]') and c or '%' .. hex:upper()
    end)
    if bad then return nil end
    local segments, ends = {}, false
    for segment in decoded:gmatch('/([^/]*)') do
        ends = segment == '.' or segment == '..' or segment == ''
        if segment == '..' then
            segments[#segments] = nil
        elseif segment ~= '.' and segment ~= '' then
            segments[#segments + 1] = segment
        end
    end
    return '/' .. table.concat(segments, '/') .. (ends and #segments > 0 and '/' or '')
end

local function check_path(rule, word, text, range)
    if text:sub(1, 1) ~= '/' then refuse_word(rule, word, range) end
    if text:find('[?#]') then refuse_word(rule, word, 'a path without ? or #: those are no part of it') end
    if text:find('*', 1, true) then
        refuse_word(rule, word, '* nowhere but as the whole last segment of a condition')
    end
    local normal = normal_path(text)
    if not normal then refuse_word(rule, word, 'two hex digits behind each %, and no control octets') end
    return (normal:gsub('/$', ''))
end

local function check_header_name(rule, word, name)
    if #name == 0 or #name > 256 or name:find("[^A-Za-z0-9!#$%%&'*+.^_`|~-]") then
        refuse_word(rule, word, "a header's name: letters, digits and - alone, or others that RFC 9110 allows")
    end
end

local function check_header_free(rule, word, name)
    check_header_name(rule, word, name)
    if HEADERS_TAKEN[name:lower()] then
        refuse_word(rule, word, "a header that neither frames the message, nor is this hop's or the edge's own " ..
            '(for Host there is the word host)')
    end
end

local function check_range(rule, word, text, range)
    if not is_range(text) then refuse_word(rule, word, range) end
end

local function check_url(rule, word, url, range)
    if not url:match('^https?://') and url:sub(1, 1) ~= '/' then refuse_word(rule, word, range) end
    if url:find('[^\33-\126]') then
        refuse_word(rule, word, 'a URL of visible ASCII characters, others as %XX')
    end
    for name in url:gmatch('%$(%a*)') do
        if name ~= 'host' and name ~= 'path' and name ~= 'query' and name ~= 'uri' then
            refuse_word(rule, word, 'no other $ than $host, $path, $query and $uri ($ itself is %24)')
        end
    end
    if url:sub(1, 1) == '/' then
        if url:sub(2, 2):find('[/\\$]') then
            refuse_word(rule, word, 'neither /, \\ nor $ behind the first /: it would lead to any host')
        end
        return
    end
    local rest = url:gsub('^https?://', '')
    local behind = rest:gsub('^%$host', 'x'):gsub('^[A-Za-z0-9._:%[%]-]+', '', 1)
    if behind == rest or not (behind == '' or behind:find('^[/?#]') or behind:find('^%$path') or behind:find('^%$uri')) then
        refuse_word(rule, word, 'a host, then nothing or one of / ? # $path $uri')
    end
end

local function is_host_and_port(text)
    local host, port = text:match('^(%b[])(.*)$')
    if host then
        if not is_ipv6(host:sub(2, -2)) or not (port == '' or port:sub(1, 1) == ':') then return false end
    else
        host, port = text:match('^([^:]*)(.*)$')
        if host:find('[^A-Za-z0-9._-]') then return false end
    end
    port = port:sub(2)
    return #text > 0 and #text <= 260 and (text:sub(-1) ~= ':') and
        (port == '' or number_within(port, 1, 65535) and true or false)
end

check_type.host = function(field, text, record, range)
    if not is_host_and_port(text) then refuse(field, text, range) end
end

-- A reader has: rule (its name), words, at, record, acted (the action's word), code.
local read_word = {}

local function next_word(r) return r.words[r.at] or r.words.last end

local function take(r)
    local word = r.words[r.at]
    if not word then refuse_word(r.rule, r.words.last, r.range) end
    r.at = r.at + 1
    return word
end

function read_word.path(r)
    local word = take(r)
    local text = word.text
    if text:sub(1, 1) == '~' then return end
    if text:sub(-2) ~= '/*' then return check_path(r.rule, word, text, r.range) end
    local path = check_path(r.rule, word, text:sub(1, -2), r.range)
    if select(2, path:gsub('/', '')) > SEGMENTS_MAX then
        refuse_word(r.rule, word, 'at most 64 segments before the *')
    end
end

function read_word.method(r)
    local word = take(r)
    for method in (word.text .. ','):gmatch('([^,]*),') do
        if not method:match('^[A-Z-]+$') then refuse_word(r.rule, word, r.range) end
    end
end

function read_word.header(r)
    local word = take(r)
    check_header_name(r.rule, word, (word.text:match('^[^=~]*')))
end

function read_word.query(r)
    local word = take(r)
    if word.text:match('^[^=]*') == '' then refuse_word(r.rule, word, r.range) end
end
read_word.cookie = read_word.query

function read_word.from(r)
    local word = take(r)
    for range in (word.text .. ','):gmatch('([^,]*),') do check_range(r.rule, word, range, r.range) end
end

function read_word.websocket() end
function read_word.deny() end

read_word['to'] = function(r)
    local service = next_word(r).text:match('^service:(.*)$')
    if service then
        local word = take(r)
        if not is_name(service) then refuse_word(r.rule, word, 'service: with ' .. NAME) end
        r.record.names[#r.record.names + 1] = function() check_service(r.rule, r.record, service) end
        return
    end
    local list = { seen = {} }
    local function check(text)
        local good, address, fastcgi = pcall(check_endpoint, r.rule, text, text)
        if good then return address, fastcgi end
        if type(address) ~= 'table' then error(address, 0) end
        refuse_word(r.rule, next_word(r), (address.refusal:match('expected (.*)$')))
    end
    local function belongs(text)
        return text:match('^[0-9%[]') or text:find(':', 1, true) or (#list > 0 and is_list_option(text))
    end
    while belongs(next_word(r).text) do
        local wrong = add_to_list(list, next_word(r).text, check)
        if not wrong and #list > RULE_LIST_MAX then wrong = 'at most 64 endpoints' end
        if wrong then refuse_word(r.rule, next_word(r), wrong) end
        take(r)
    end
    if #list == 0 then refuse_word(r.rule, next_word(r), r.range) end
    local wrong = list_misfit(list)
    if wrong then refuse_word(r.rule, next_word(r), wrong) end
end

function read_word.split(r)
    local seen, sum, count = {}, 0, 0
    while next_word(r).text:match('^service:') do
        local word = take(r)
        if count == RULE_LIST_MAX then refuse_word(r.rule, word, 'at most 64 services') end
        local name, weight = word.text:match('^service:([^=]*)=(.*)$')
        if not name or not is_name(name) or not number_within(weight, 0, WEIGHT_MAX) then
            refuse_word(r.rule, word, r.range)
        end
        if seen[name] then refuse_word(r.rule, word, 'each service once') end
        seen[name] = true
        sum = sum + tonumber(weight)
        count = count + 1
        r.record.names[#r.record.names + 1] = function() check_service(r.rule, r.record, name) end
    end
    if sum == 0 then refuse_word(r.rule, next_word(r), r.range) end
end

function read_word.redirect(r)
    local code = take(r)
    if not code.text:match('^30[12378]$') then refuse_word(r.rule, code, r.range) end
    check_url(r.rule, next_word(r), take(r).text, r.range)
end

function read_word.respond(r)
    local code = take(r)
    if not number_within(code.text, 200, 599) then refuse_word(r.rule, code, r.range) end
    if not next_word(r).quoted then return end
    local number = tonumber(code.text)
    if number == 204 or number == 205 or number == 304 then
        refuse_word(r.rule, next_word(r), 'no text: a response with this code has none')
    end
    take(r)
end

function read_word.strip(r)
    local word = take(r)
    if check_path(r.rule, word, word.text, r.range) == '' then refuse_word(r.rule, word, 'more than the root') end
end
read_word.prepend = read_word.strip

function read_word.host(r)
    local word = take(r)
    if not is_host_and_port(word.text) then refuse_word(r.rule, word, r.range) end
end

function read_word.set(r)
    local word = take(r)
    local name, value = word.text:match('^([^=]*)=(.*)$')
    if not name then refuse_word(r.rule, word, r.range) end
    check_header_free(r.rule, word, name)
    if value:gsub('\t', ''):find('%c') then refuse_word(r.rule, word, 'a value without control octets') end
end

function read_word.unset(r)
    local word = take(r)
    check_header_free(r.rule, word, word.text)
end

function read_word.timeout(r)
    local word = take(r)
    if not time_ms(word.text) then refuse_word(r.rule, word, r.range) end
end

-- Which modules an edge has, and what they take, only edges know: their end is found, no more.
function read_word.modules(r)
    local word, depth, quoted = take(r), 0, false
    while true do
        local last = r.words[r.at] and r.words[r.at].column - 1 or #r.text
        for at = word.column, last do
            local c = r.text:sub(at, at)
            if quoted and c == '\\' then
                -- what it escapes is passed over with it
                if r.text:sub(at + 1, at + 1):match('["\\]') then r.escaped = at + 1 end
            elseif c == '"' and r.escaped ~= at then
                quoted = not quoted
            elseif not quoted and c == '(' then
                depth = depth + 1
            elseif not quoted and c == ')' then
                depth = depth - 1
            end
        end
        local next = r.words[r.at]
        if not next then break end
        if depth <= 0 then
            for _, row in ipairs(rule_words) do
                if row[2] == 'modifier' and row[1] == next.text and not next.quoted then return end
            end
        end
        word = take(r)
    end
    if depth > 0 then refuse_word(r.rule, r.words.last, 'a ) at the end of the settings') end
end

function read_word.priority(r)
    local word = take(r)
    local digits = word.text:match('^-?(%d+)$')
    if not digits or not number_within(digits, 0, 1000) then refuse_word(r.rule, word, r.range) end
end

local function check_place(r, row)
    local word, part = next_word(r), row[2]
    if part == 'action' and r.acted then refuse_word(r.rule, word, 'one action only') end
    if part == 'condition' and r.acted then refuse_word(r.rule, word, 'conditions before the action') end
    if part == 'modifier' and not r.acted then
        refuse_word(r.rule, word, 'an action before the modifiers: to, split, redirect, respond or deny')
    end
    if part == 'modifier' and not FORWARDS[r.acted] and row[1] ~= 'priority' and row[1] ~= 'modules' then
        refuse_word(r.rule, word, 'only priority or modules here: the request goes to no endpoint')
    end
    if part ~= 'action' then
        r.parts = r.parts + 1
        if r.parts > RULE_PARTS_MAX then refuse_word(r.rule, word, 'at most 64 conditions and modifiers') end
    end
    if not REPEATED[row[1]] and r.seen[row[1]] then refuse_word(r.rule, word, 'this word once only') end
    r.seen[row[1]] = true
end

local function unknown_word(r)
    local list = {}
    for _, row in ipairs(rule_words) do
        if (row[2] == 'modifier') == (r.acted ~= nil) then list[#list + 1] = row[1] end
    end
    refuse_word(r.rule, next_word(r), (r.acted and 'a modifier: ' or 'a condition or an action: ') ..
        table.concat(list, ', '))
end

local function check_rule(rule, text, record)
    local r = { rule = rule, text = text, words = cut_words(rule, text), at = 1, record = record, seen = {}, parts = 0 }
    while r.words[r.at] do
        local word, found = r.words[r.at], nil
        for _, row in ipairs(rule_words) do
            if not word.quoted and row[1] == word.text then found = row end
        end
        if not found then unknown_word(r) end
        check_place(r, found)
        if found[2] == 'action' then r.acted = found[1] end
        r.at = r.at + 1
        r.range = found[3]
        read_word[found[1]](r)
    end
    if not r.acted then
        refuse_word(rule, r.words.last, 'an action: to, split, redirect, respond or deny')
    end
end

local function route_set(keys, args)
    local record = open_record(keys, 'routes')
    check_type_of(record, 'hash')
    take_pairs(args, function(name, text)
        if not is_name(name) then refuse(name, name, "a rule's name: " .. NAME) end
        check_rule(name, text, record)
    end)
    check_names(record)
    check_tenant('', record, record.name)
    check_room(record, args)
    return write(record, 'HSET', record.key, unpack(args))
end

-- --- the functions ---

local function answered(fn)
    return function(keys, args)
        local good, result = pcall(fn, keys, args)
        if good then return result end
        if type(result) == 'table' and result.refusal then return redis.error_reply('ERR ' .. result.refusal) end
        if type(result) == 'table' and result.err then return redis.error_reply(result.err) end
        return redis.error_reply('ERR usher: ' .. tostring(result))
    end
end

local function setter(family, rows)
    return function(keys, args) return set_fields(open_record(keys, family), rows, args) end
end

local function unsetter(family)
    return function(keys, args) return unset_fields(open_record(keys, family), args) end
end

-- A whole record of any family.
local function delete(keys)
    for _, family in ipairs({ 'host', 'tenant', 'routes', 'service', 'endpoints' }) do
        if #keys == 1 and (':' .. keys[1]):find('[^%w]' .. family .. ':') then
            local record = open_record(keys, family)
            return write(record, 'DEL', record.key)
        end
    end
    local record = open_record(keys, 'defaults')
    return write(record, 'DEL', record.key)
end

redis.register_function('usher_host_set', answered(host_set))
redis.register_function('usher_host_unset', answered(unsetter('host')))
redis.register_function('usher_tenant_set', answered(setter('tenant', tenant_fields)))
redis.register_function('usher_tenant_unset', answered(unsetter('tenant')))
redis.register_function('usher_defaults_set', answered(setter('defaults', tenant_fields)))
redis.register_function('usher_defaults_unset', answered(unsetter('defaults')))
redis.register_function('usher_route_set', answered(route_set))
redis.register_function('usher_route_del', answered(unsetter('routes')))
redis.register_function('usher_service_set', answered(setter('service', service_fields)))
redis.register_function('usher_service_unset', answered(unsetter('service')))
redis.register_function('usher_endpoint_set', answered(endpoint_set))
redis.register_function('usher_endpoint_del', answered(unsetter('endpoints')))
redis.register_function('usher_delete', answered(delete))
