-- Writes a refresh if the grant still has the version it began with, even if it is dead or another attempt has the
-- lease. Creates the row again if it is lost, unless others may have deleted it.
-- KEYS[1]  the grant's hash
-- ARGV     version the refresh began with, ms for which nobody may acquire (0: none), then channel, version, grant,
--          access, access remaining ms, life ms and stated as in put.lua
-- returns  "written" | "already" (repeated: changes nothing) | "superseded" | "revoked" | "deleted" (by others)
local key = KEYS[1]
local from, quietMs, channel, version, grant, access, accessMs, life, stated = unpack(ARGV)
local v, state, rejected, held = unpack(redis.call('HMGET', key, 'v', 'state', 'rejected', 'rejectedHeld'))
if v == version then return 'already' end
-- Others than our replicas tell nobody what they did: those who wait for this refresh would wait for their whole time.
local function tooLate(result, found)
  if not bringsBack then redis.pcall('PUBLISH', channel, found .. ' ' .. key) end
  return result
end
if v and state == 'revoked' then return tooLate(isEndedByOthers() and 'deleted' or 'revoked', v) end
if v and v ~= from and not comesAfter(grant) then return tooLate('superseded', v) end
if not v and not bringsBack then return tooLate('deleted', from) end
-- The rejection of a rejected token's successor counts as the second one. A token that was not rejected ends that.
local isSuccessor = rejected == from or held == from
write(key, channel, version, grant, access, accessMs, life, stated, isSuccessor)
if quietMs ~= '0' then
  redis.call('HSET', key, 'lease', 'quiet', 'leaseUntil', string.format('%.0f', clock() + tonumber(quietMs)))
end
return 'written'
