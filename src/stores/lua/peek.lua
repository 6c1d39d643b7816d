-- Reads a grant with what stands beside it, and changes nothing: neither its life nor a token that has expired.
-- KEYS[1]  the grant's hash
-- returns  {} where there is none, else {attempt that has the lease, its ms left, earlier attempts, ms since the first,
--          failures, ms for which the answer to a call that was given up may come, ms for which rejections change
--          nothing, ms for which nobody may acquire, "1" where the row is older than the server's history, row…}, the
--          row as in row.lua from the tenth place on
local key, now = KEYS[1], clock()
local row = view(key, now, true)
if not row then return {} end
local lease, leaseUntil, attempts, attemptAt, failures, answerUntil, held, holdUntil, hist = fields(key,
  'lease', 'leaseUntil', 'attempts', 'attemptAt', 'failures', 'answerUntil', 'rejectedHeld', 'rejectedUntil', 'hist')
local quietLeft = lease == 'quiet' and left(leaseUntil, now) or 0
if lease == 'given_up' then answerUntil = leaseUntil end
if lease == 'given_up' or lease == 'quiet' then lease = false end
local current = history()
local isOlder = current ~= '' and hist and not hist:find(current, 1, true)
local leaseLeft, sinceMs = left(leaseUntil, now), now - (tonumber(attemptAt) or now)
return { lease and leaseLeft > 0 and lease or '', leaseLeft, tonumber(attempts) or 0, math.max(sinceMs, 0),
  tonumber(failures) or 0, left(answerUntil, now), held and left(holdUntil, now) or 0, quietLeft,
  isOlder and '1' or '', unpack(row) }
