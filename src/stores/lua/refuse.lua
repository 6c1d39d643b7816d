-- Marks a grant dead, and ends lease, marker and back-off. The version stays, so that a late commit revives the grant.
-- KEYS[1]  the grant's hash
-- ARGV     channel, version whose refresh token was refused, why
-- returns  "dead" | "superseded" | "revoked" | "absent"
local key = KEYS[1]
local channel, version, why = ARGV[1], ARGV[2], ARGV[3]
local v, state = unpack(redis.call('HMGET', key, 'v', 'state'))
if not v then return 'absent' end
if state == 'revoked' then return 'revoked' end
if v ~= version then return 'superseded' end
redis.call('HSET', key, 'state', 'dead', 'why', why)
redis.call('HDEL', key, 'lease', 'leaseUntil', 'answerUntil', 'attempt', 'attempts', 'attemptAt')
redis.call('HDEL', key, 'retryAt', 'failures', 'failingSince')
redis.pcall('PUBLISH', channel, v .. ' ' .. key)
return 'dead'
