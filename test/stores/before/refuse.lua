-- Marks a grant dead and keeps its version, so that a commit of the same version still revives it. Lease, marker and back-off end.
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
redis.call('HDEL', key, 'lease', 'leaseUntil', 'attempt', 'attempts', 'attemptAt', 'retryAt', 'failures', 'answerUntil', 'failingSince')
redis.pcall('PUBLISH', channel, v .. ' ' .. key)
return 'dead'
