-- Writes a refresh where the grant has not moved since: also a dead one, and one whose lease somebody else has. Recreates a lost one.
-- KEYS[1]  the grant's hash
-- ARGV     version the refresh began with, "1" for a write that was lost and is repeated, then as in put.lua
-- returns  "written" | "already" (repeated: changes nothing) | "superseded" | "revoked"
local key = KEYS[1]
local from, repeated, channel, version, grant, access, accessMs, life, stated = unpack(ARGV)
local v, state = unpack(redis.call('HMGET', key, 'v', 'state'))
if v == version then return 'already' end
if v and state == 'revoked' then return 'revoked' end
if v and v ~= from then return 'superseded' end
write(key, channel, version, grant, access, accessMs, life, stated)
-- What came after it may be lost as well, and on its way back: a marker lets everybody hold off.
if repeated == '1' then redis.call('HSET', key, 'attempt', 'lost', 'attempts', 1, 'attemptAt', string.format('%.0f', clock())) end
return 'written'
