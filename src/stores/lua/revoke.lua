-- Replaces a grant by a tombstone that lives as long as the grant would have, at least a minimum. Tells everybody.
-- KEYS[1]  the grant's hash
-- ARGV     channel, the tombstone's version, shortest life ms, the only version it may replace ("" for any; an empty
--          key is written all the same)
-- returns  the version of the grant that was there (its own when repeated); nothing where there was none, or one that
--          it may not replace
local key = KEYS[1]
local channel, version, shortest, from = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local v, state = unpack(redis.call('HMGET', key, 'v', 'state'))
if from ~= '' and v and v ~= from then return false end
local life = math.max(redis.call('PTTL', key), shortest)
clear(key)
redis.call('HSET', key, 'v', version, 'state', 'revoked')
redis.call('PEXPIRE', key, life)
bury(key)
redis.pcall('PUBLISH', channel, version .. ' ' .. key)
if v and (state ~= 'revoked' or v == version) then return v end
return false
