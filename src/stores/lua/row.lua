-- Shared by the scripts: it is put before them when they are loaded.

-- Milliseconds of the server's clock.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What is left until an instant of the server's clock, ms; 0 where it is over or there is none.
local function left(instant, now)
  if not instant then return 0 end
  return math.max(tonumber(instant) - now, 0)
end

-- Some fields of a row: HMGET.
local function fields(key, ...)
  return unpack(redis.call('HMGET', key, ...))
end

-- Whether a commit creates a row again that is not there.
local bringsBack = true

-- Whether a refresh may replace another version than it began with.
local function comesAfter() return false end

-- Whether a tombstone is somebody else's.
local function isEndedByOthers() return false end

-- What is to be done to a row that has become a tombstone, beyond its hash.
local function bury() end

-- {v, state, why, grant, access, access remaining ms, ttl ms, "1" where the provider stated the life, back-off left ms,
-- ms since refreshes fail, "1" where an API rejected its access token}; false where there is no grant. access is ""
-- where there is none, its remaining ms "" where it has no expiry, the ms since refreshes fail "" where none does. Drops
-- an access token that has expired, unless it `leaves` the row as it is.
local function view(key, now, leaves)
  local v, state, why, grant, access, accessUntil, stated, retryAt, failingSince, rejected = fields(key,
    'v', 'state', 'why', 'grant', 'access', 'accessUntil', 'stated', 'retryAt', 'failingSince', 'rejected')
  if not v then return false end
  local remaining = ''
  if access and accessUntil then
    remaining = tonumber(accessUntil) - now
    if remaining <= 0 then
      if not leaves then redis.call('HDEL', key, 'access', 'accessUntil') end
      access, remaining = false, ''
    end
  end
  local failing = failingSince and tostring(math.max(now - tonumber(failingSince), 0)) or ''
  return { v, state or '', why or '', grant or '', access or '', tostring(remaining), redis.call('PTTL', key),
    stated or '', left(retryAt, now), failing, rejected == v and '1' or '' }
end

-- Removes all of a row but v and state, which the calling script writes anew. The key itself must not go: in a cluster
-- slot that is moving to another node, a script cannot create it again. Removing comes before writing, so that a Redis
-- whose memory is full takes it. Fails on a key that is no hash, since it is not ours.
-- keepsRejections: what reject.lua wrote stays.
local function clear(key, keepsRejections)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local isKept = field == 'v' or field == 'state' or (keepsRejections and field:sub(1, 8) == 'rejected')
    if not isKept then redis.call('HDEL', key, field) end
  end
end
