-- Shared by the scripts: put before them when they are loaded.

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

-- {v, state, why, grant, access, access remaining ms, ttl ms, "1" where the provider stated the life, back-off left ms, ms since refreshes fail}; false where
-- there is no grant. access is "" where none is held, its remaining ms "" where it has no expiry, the last "" where none has failed. An expired access token is dropped.
local function view(key, now)
  local row = redis.call('HMGET', key, 'v', 'state', 'why', 'grant', 'access', 'accessUntil', 'stated', 'retryAt', 'failingSince')
  local v, state, why, grant, access, accessUntil, stated, retryAt, failingSince = unpack(row)
  if not v then return false end
  local remaining = ''
  if access and accessUntil then
    remaining = tonumber(accessUntil) - now
    if remaining <= 0 then
      redis.call('HDEL', key, 'access', 'accessUntil')
      access, remaining = false, ''
    end
  end
  local failing = failingSince and tostring(math.max(now - tonumber(failingSince), 0)) or ''
  return { v, state or '', why or '', grant or '', access or '', tostring(remaining), redis.call('PTTL', key), stated or '', left(retryAt, now), failing }
end

-- Leaves v and state of a row, for a script that writes both anew. The key itself must not go: in a slot that is on its way to another node of a cluster, a script cannot
-- make it again. What is removed comes before what is written, so that a Redis whose memory is full takes it. Fails on a key that is no hash: it is somebody else's.
local function clear(key)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field ~= 'v' and field ~= 'state' then redis.call('HDEL', key, field) end
  end
end
