-- Gives the lease of an attempt back that has nothing to commit, with the back-off for all. Tells everybody, so that those who wait ask again.
-- KEYS[1]  the grant's hash
-- ARGV     channel, attempt id, "1" where the refresh token was surely not used, back-off ms (0: none)
-- returns  1, or 0 where the lease was no longer that attempt's: then nothing is changed
local key = KEYS[1]
local channel, attempt, unused, backOffMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local v, lease, attempts, failures = unpack(redis.call('HMGET', key, 'v', 'lease', 'attempts', 'failures'))
if lease ~= attempt then return 0 end
redis.call('HDEL', key, 'lease', 'leaseUntil')
if unused == '1' then
  local rest = (tonumber(attempts) or 1) - 1
  if rest > 0 then
    redis.call('HSET', key, 'attempts', rest)
  else
    redis.call('HDEL', key, 'attempt', 'attempts', 'attemptAt')
  end
end
if backOffMs > 0 then
  redis.call('HSET', key, 'retryAt', string.format('%.0f', clock() + backOffMs), 'failures', (tonumber(failures) or 0) + 1)
end
redis.pcall('PUBLISH', channel, v .. ' ' .. key)
return 1
