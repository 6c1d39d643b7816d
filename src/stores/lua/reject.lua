-- Notes that an API rejected the access token of a version, and drops the token, so that whoever needs one refreshes
-- the grant. If the successor of a rejected token is rejected as well, refreshing does not help: for a while, doubled
-- each time, the token is left as it is. Tells everybody, with "rejected" as third word.
-- KEYS[1]  the grant's hash
-- ARGV     channel, version, "1" where the token stays since the grant cannot be refreshed, ms of the first while, ms
--          of the longest, which is also how long after it all this is forgotten
-- returns  {"rejected"} | {"held", ms for which its rejection changes nothing} | {"superseded"}
local key = KEYS[1]
local channel, version, stays, firstMs, longestMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local v, state, rejected, at, held, holdUntil, holds = unpack(redis.call('HMGET', key,
  'v', 'state', 'rejected', 'rejectedAt', 'rejectedHeld', 'rejectedUntil', 'rejectedHolds'))
if v ~= version or state == 'revoked' then return { 'superseded', 0 } end
if rejected == version then return { 'rejected', 0 } end
local now = clock()
if rejected and left(math.max(tonumber(at), tonumber(holdUntil) or 0) + longestMs, now) == 0 then
  redis.call('HDEL', key, 'rejectedHeld', 'rejectedUntil', 'rejectedHolds')
  rejected, holdUntil = false, false
end
if rejected then
  local holdMs = left(holdUntil, now)
  if holdMs > 0 then return { 'held', holdMs } end
  if held ~= version then
    local count = (tonumber(holds) or 0) + 1
    holdMs = math.min(firstMs * 2 ^ (count - 1), longestMs)
    redis.call('HSET', key, 'rejectedHeld', version, 'rejectedHolds', count,
      'rejectedUntil', string.format('%.0f', now + holdMs))
    return { 'held', holdMs }
  end
end
redis.call('HSET', key, 'rejected', version, 'rejectedAt', string.format('%.0f', now))
if stays ~= '1' then redis.call('HDEL', key, 'access', 'accessUntil') end
redis.pcall('PUBLISH', channel, version .. ' ' .. key .. ' rejected')
return { 'rejected', 0 }
