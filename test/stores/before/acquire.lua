-- Takes the lease for one presentation of the refresh token and writes the marker, where nothing speaks against it.
-- KEYS[1]  the grant's hash
-- ARGV     attempt id, version the caller has seen, lease ms, ms above which a newer access token is adopted, "1" for an attempt that had the lease before,
--          ms after the first presentation within which another may be begun beside one that was given up and may still be answered
-- returns  {code, ms, earlier attempts, ms since the first of them, failures, row…}: "absent" and "revoked" alone; "back_off" and "busy" with the ms left;
--          "moved", "dead" and "acquired" with the row as in row.lua from the sixth place on, "acquired" with the ms for which such an answer may come
local key = KEYS[1]
local attempt, seen, leaseMs, usableMs, again, overlapMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])
local now = clock()
local row = view(key, now)
if not row then return { 'absent' } end
local v, state, access, remaining, backOff = row[1], row[2], row[5], row[6], row[9]
if state == 'revoked' then return { 'revoked' } end
if v ~= seen and access ~= '' and (remaining == '' or tonumber(remaining) > usableMs) then return { 'moved', 0, 0, 0, 0, unpack(row) } end
if state == 'dead' then return { 'dead', 0, 0, 0, 0, unpack(row) } end
if backOff > 0 then return { 'back_off', backOff } end

local fields = redis.call('HMGET', key, 'lease', 'leaseUntil', 'attempts', 'attemptAt', 'failures', 'answerUntil')
local lease, leaseUntil, attempts, attemptAt, failures, answerUntil = unpack(fields)
-- A lease that was given up keeps away whoever does not know that name; for others it is only until when an answer may come.
if lease == 'given_up' then lease, answerUntil = false, leaseUntil end
local leaseLeft, answerLeft = left(leaseUntil, now), left(answerUntil, now)
local earlier = tonumber(attempts) or 0
if lease == attempt then
  earlier = math.max(earlier - 1, 0)
else
  if lease and leaseLeft > 0 and not (again and lease == 'quiet') then return { 'busy', leaseLeft } end
  -- Who had the lease before has presented the token already.
  if answerLeft > 0 and not again and now - (tonumber(attemptAt) or now) >= overlapMs then return { 'busy', answerLeft } end
  if earlier == 0 then attemptAt = string.format('%.0f', now) end
  redis.call('HSET', key, 'lease', attempt, 'attempt', attempt, 'attempts', earlier + 1, 'attemptAt', attemptAt)
  if answerLeft > 0 then redis.call('HSET', key, 'answerUntil', answerUntil) end
end
redis.call('HSET', key, 'leaseUntil', string.format('%.0f', now + leaseMs))
return { 'acquired', answerLeft, earlier, math.max(now - tonumber(attemptAt), 0), tonumber(failures) or 0, unpack(row) }
