-- Shared by the scripts that change a row of ToolHive's or our hash beside it: put before them, so that the hash belongs
-- to what is there. If ToolHive has deleted the row, the hash is emptied. The key itself must not go (see `clear` in
-- row.lua).

-- So long our hash is kept where the row has no end; every change begins it anew.
local endlessMs = 30 * 24 * 60 * 60 * 1000

-- The hash ends with its row.
local function liveAsRow(key)
  local ttl = redis.call('PTTL', rowKey)
  redis.call('PEXPIRE', key, ttl >= 0 and ttl or endlessMs)
end

local function sync(key)
  local names = isInStep and {} or redis.call('HKEYS', key)
  for _, field in ipairs(names) do
    local isKept = field == 'state' or (text and (field == 'v' or counts(field)))
    if not isKept then redis.call('HDEL', key, field) end
  end
  if not text then
    if #names > 0 then redis.call('HSET', key, 'state', '') end
    return
  end
  if not isInStep then
    redis.call('HSET', key, 'v', sum, 'state', text == 'null' and 'revoked' or 'active', 'sum', sum, 'token', token)
    if text ~= 'null' then redis.call('HSET', key, 'access', '') end
    isInStep, inStepV = true, sum
  end
  if inStepState ~= 'revoked' or text ~= 'null' then liveAsRow(key) end
end
sync(KEYS[1])

-- ToolHive's tombstone in place of a row; our hash knows for longer.
local function bury(key)
  if text then redis.call('SET', rowKey, 'null', 'PX', 60 * 60 * 1000) end
  redis.call('HSET', key, 'sum', redis.sha1hex('null'))
end
