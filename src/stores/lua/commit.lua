-- Writes a refresh if the grant still has the version it began with, even if it is dead or another attempt has the
-- lease. Creates the row again if it is lost.
-- KEYS[1]  the grant's hash
-- ARGV     version the refresh began with, ms for which nobody may acquire (0: none), then channel, version, grant,
--          access, access remaining ms, life ms and stated as in put.lua
-- returns  "written" | "already" (repeated: changes nothing) | "superseded" | "revoked"
local key = KEYS[1]
local from, quietMs, channel, version, grant, access, accessMs, life, stated = unpack(ARGV)
local v, state = unpack(redis.call('HMGET', key, 'v', 'state'))
if v == version then return 'already' end
if v and state == 'revoked' then return 'revoked' end
if v and v ~= from then return 'superseded' end
-- Its successor's rejection counts as the second one.
write(key, channel, version, grant, access, accessMs, life, stated, true)
if quietMs ~= '0' then
  redis.call('HSET', key, 'lease', 'quiet', 'leaseUntil', string.format('%.0f', clock() + tonumber(quietMs)))
end
return 'written'
