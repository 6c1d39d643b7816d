-- Adds a row to a set, which never ends before the row does, and never sooner than it would have.
-- KEYS[1]  the set
-- ARGV     the row's key, its ms to live (-1: it has no end)
local key = KEYS[1]
local row, ttl = ARGV[1], tonumber(ARGV[2])
local before = redis.call('PTTL', key)
redis.call('SADD', key, row)
if ttl < 0 then
  redis.call('PERSIST', key)
elseif before ~= -1 and before < ttl then
  redis.call('PEXPIRE', key, ttl)
end
return 1
