-- Takes the lease for one presentation of the refresh token and writes the marker, unless something forbids it.
-- KEYS[1]  the grant's hash
-- ARGV     attempt id, version the caller has seen, lease ms, ms above which a newer access token is adopted, "1" for
--          an attempt that had the lease before, ms after the first presentation within which another may begin beside
--          one that was given up, ms for which nobody acquires a row that is older than the server's history
-- returns  {code, ms, earlier attempts, ms since the first, failures, row…}: "absent" and "revoked" alone; "back_off"
--          and "busy" with the ms left; "moved", "dead" and "acquired" with the row as in row.lua from the sixth place
--          on; the ms of "acquired" say how long the answer to a call that was given up may come
local key, attempt, seen, leaseMs, usableMs = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local again, overlapMs, quietMs = ARGV[5] == '1', tonumber(ARGV[6]), tonumber(ARGV[7])
local now = clock()
local row = view(key, now)
if not row then return { 'absent' } end
local v, state, access, remaining, backOff = row[1], row[2], row[5], row[6], row[9]
if state == 'revoked' then return { 'revoked' } end
local isUsable = access ~= '' and (remaining == '' or tonumber(remaining) > usableMs)
if v ~= seen and isUsable then return { 'moved', 0, 0, 0, 0, unpack(row) } end
if state == 'dead' then return { 'dead', 0, 0, 0, 0, unpack(row) } end
if backOff > 0 then return { 'back_off', backOff } end

local lease, leaseUntil, attempts, attemptAt, failures, answerUntil, hist = unpack(redis.call('HMGET', key,
  'lease', 'leaseUntil', 'attempts', 'attemptAt', 'failures', 'answerUntil', 'hist'))
-- Older versions do not know the name "given_up" and stay away as from any lease. Here it says how long to wait.
if lease == 'given_up' then lease, answerUntil = false, leaseUntil end
local leaseLeft, answerLeft, earlier = left(leaseUntil, now), left(answerUntil, now), tonumber(attempts) or 0
if lease == attempt then
  earlier = math.max(earlier - 1, 0)
else
  if lease and leaseLeft > 0 and not (again and lease == 'quiet') then return { 'busy', leaseLeft } end
  -- An attempt that had the lease before has presented the token already, and is not kept waiting.
  local presentedMs = now - (tonumber(attemptAt) or now)
  if answerLeft > 0 and not again and presentedMs >= overlapMs then return { 'busy', answerLeft } end
  if fence(key, hist, again and 0 or quietMs, answerLeft > 0 and answerUntil, now) then return { 'busy', quietMs } end
  if earlier == 0 then attemptAt = string.format('%.0f', now) end
  redis.call('HSET', key, 'lease', attempt, 'attempt', attempt, 'attempts', earlier + 1, 'attemptAt', attemptAt)
  if answerLeft > 0 then redis.call('HSET', key, 'answerUntil', answerUntil) end
end
redis.call('HSET', key, 'leaseUntil', string.format('%.0f', now + leaseMs))
return { 'acquired', answerLeft, earlier, math.max(now - tonumber(attemptAt), 0), tonumber(failures) or 0, unpack(row) }
