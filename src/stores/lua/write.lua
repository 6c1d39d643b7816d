-- Writes a login or a refresh, the latter only where the grant has not moved. Repeating it with the same new version changes nothing else.
-- KEYS[1]  the grant's hash
-- ARGV     expected version ("" for any), new version, grant, access ("" for none), access remaining ms ("" for no expiry), life ms, "1" where stated
-- returns  "written" | "superseded" | "revoked"
local key = KEYS[1]
local expected, version, grant, access, accessMs, life, stated = unpack(ARGV)
local v, state = unpack(redis.call('HMGET', key, 'v', 'state'))
if expected ~= '' and v and v ~= version then
  if state == 'revoked' then return 'revoked' end
  if v ~= expected then return 'superseded' end
end

redis.call('DEL', key)
redis.call('HSET', key, 'v', version, 'state', 'active', 'grant', grant, 'life', life)
if stated == '1' then redis.call('HSET', key, 'stated', '1') end
if access ~= '' then
  redis.call('HSET', key, 'access', access)
  if accessMs ~= '' then
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('HSET', key, 'accessUntil', string.format('%.0f', now + tonumber(accessMs)))
    -- A server without HPEXPIRE answers with an error; the next read removes the expired token there.
    redis.pcall('HPEXPIRE', key, accessMs, 'FIELDS', 2, 'access', 'accessUntil')
  end
end
redis.call('PEXPIRE', key, life)
return 'written'
