-- Marks a grant dead and keeps its version, so that a commit of the same version still revives it.
-- KEYS[1]  the grant's hash
-- ARGV     version whose refresh token was refused, why
-- returns  "dead" | "superseded" | "revoked" | "absent"
local key = KEYS[1]
local version, why = ARGV[1], ARGV[2]
local v, state = unpack(redis.call('HMGET', key, 'v', 'state'))
if not v then return 'absent' end
if state == 'revoked' then return 'revoked' end
if v ~= version then return 'superseded' end
redis.call('HSET', key, 'state', 'dead', 'why', why)
return 'dead'
