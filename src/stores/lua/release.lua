-- Gives back the lease of an attempt that has nothing to commit, with the back-off that all keep. Tells everybody, so
-- that those who wait ask again.
-- KEYS[1]  the grant's hash
-- ARGV     channel, attempt id, "1" where the refresh token was surely not used, back-off ms (0: none), ms for which a
--          call that was given up may still be answered (0: it has ended)
-- returns  1, or 0 where the lease is no longer that attempt's: then nothing is changed
local key = KEYS[1]
local channel, attempt, unused, backOffMs, answerMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local fields = redis.call('HMGET', key, 'v', 'lease', 'attempts', 'failures', 'failingSince', 'answerUntil')
local v, lease, attempts, failures, failingSince, answerUntil = unpack(fields)
if lease ~= attempt then return 0 end
local now = clock()
redis.call('HDEL', key, 'lease', 'leaseUntil', 'answerUntil')
if unused == '1' then
  local rest = (tonumber(attempts) or 1) - 1
  if rest > 0 then
    redis.call('HSET', key, 'attempts', rest)
  else
    redis.call('HDEL', key, 'attempt', 'attempts', 'attemptAt')
  end
end
if backOffMs > 0 then
  redis.call('HSET', key, 'retryAt', string.format('%.0f', now + backOffMs), 'failures', (tonumber(failures) or 0) + 1)
  if not failingSince then redis.call('HSET', key, 'failingSince', string.format('%.0f', now)) end
end
-- The answer may be to this attempt's call, or to an earlier one beside which it had the lease.
answerMs = math.max(answerMs, left(answerUntil, now))
if answerMs > 0 then
  redis.call('HSET', key, 'lease', 'given_up', 'leaseUntil', string.format('%.0f', now + answerMs))
end
redis.pcall('PUBLISH', channel, v .. ' ' .. key)
return 1
