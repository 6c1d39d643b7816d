-- Reads a grant, drops its access token once expired, and slides the grant's life.
-- KEYS[1]  the grant's hash
-- returns  {} where there is none, else {v, state, why, grant, access, access remaining ms, ttl ms, "1" where the provider stated the life};
--          access is "" where none is held, its remaining ms "" where it has no expiry
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local row = redis.call('HMGET', key, 'v', 'state', 'why', 'grant', 'access', 'accessUntil', 'life', 'stated')
local v, state, why, grant, access, accessUntil, life, stated = unpack(row)
if not v then return {} end

local remaining = ''
if access and accessUntil then
  remaining = tonumber(accessUntil) - now
  if remaining <= 0 then
    redis.call('HDEL', key, 'access', 'accessUntil')
    access, remaining = false, ''
  end
end

local ttl = redis.call('PTTL', key)
if state ~= 'revoked' and not stated and life and ttl < tonumber(life) / 2 then
  redis.call('PEXPIRE', key, life)
  ttl = tonumber(life)
end
return { v, state or '', why or '', grant or '', access or '', tostring(remaining), ttl, stated or '' }
