-- Shared by the scripts: put before them, after row.lua, when they are loaded.

-- The id of the history that the server's data belong to, new with every failover and every restart; "" where the
-- server does not say: behind some proxies, and where scripts may not use INFO.
local function history()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and info:match('master_replid:(%x+)') or ''
end

-- Keeps everybody from a row that was written in another history than the server's. What came after it may be lost, and
-- the process that has that needs time to write it back. A row without a history gets the
-- server's. A row remembers its last two: one that comes back is no failover, but another server behind the same name.
local function fence(key, hist, quietMs, answerUntil, now)
  local current = history()
  if current == '' or (hist and (hist:find(current, 1, true) or quietMs == 0)) then return false end
  redis.call('HSET', key, 'hist', hist and current .. ' ' .. hist:match('%x+') or current)
  if not hist then return false end
  redis.call('HSET', key, 'lease', 'quiet', 'leaseUntil', string.format('%.0f', now + quietMs))
  if answerUntil then redis.call('HSET', key, 'answerUntil', answerUntil) end
  return true
end
