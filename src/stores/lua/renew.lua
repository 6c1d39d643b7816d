-- Extends the lease of an attempt.
-- KEYS[1]  the grant's hash
-- ARGV     attempt id, lease ms
-- returns  1, or 0 where the lease is no longer that attempt's
local key = KEYS[1]
local attempt, leaseMs = ARGV[1], tonumber(ARGV[2])
if redis.call('HGET', key, 'lease') ~= attempt then return 0 end
redis.call('HSET', key, 'leaseUntil', string.format('%.0f', clock() + leaseMs))
return 1
