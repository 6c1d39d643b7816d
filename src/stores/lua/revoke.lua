-- Replaces a grant by a tombstone that lives as long as the grant would have, and no shorter than a minimum. Tells everybody.
-- KEYS[1]  the grant's hash
-- ARGV     channel, the tombstone's version, shortest life ms
-- returns  1 where there was a grant (also when repeated with the same version), else 0
local key = KEYS[1]
local channel, version, shortest = ARGV[1], ARGV[2], tonumber(ARGV[3])
local v, state = unpack(redis.call('HMGET', key, 'v', 'state'))
local life = math.max(redis.call('PTTL', key), shortest)
clear(key)
redis.call('HSET', key, 'v', version, 'state', 'revoked')
redis.call('PEXPIRE', key, life)
redis.pcall('PUBLISH', channel, version .. ' ' .. key)
if v and (state ~= 'revoked' or v == version) then return 1 end
return 0
