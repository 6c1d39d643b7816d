-- Shared by the scripts that write a whole row: it is put before them, after row.lua, when they are loaded.

-- Replaces the row, which ends lease, marker, back-off and death. Tells everybody.
local function write(key, channel, version, grant, access, accessMs, life, stated, keepsRejections)
  clear(key, keepsRejections)
  redis.call('HSET', key, 'v', version, 'state', 'active', 'grant', grant, 'life', life)
  local hist = history()
  if hist ~= '' then redis.call('HSET', key, 'hist', hist) end
  if stated == '1' then redis.call('HSET', key, 'stated', '1') end
  if access ~= '' then
    redis.call('HSET', key, 'access', access)
    if accessMs ~= '' then
      redis.call('HSET', key, 'accessUntil', string.format('%.0f', clock() + tonumber(accessMs)))
      -- A server without HPEXPIRE answers with an error; the next read removes the expired token there.
      redis.pcall('HPEXPIRE', key, accessMs, 'FIELDS', 2, 'access', 'accessUntil')
    end
  end
  redis.call('PEXPIRE', key, life)
  redis.pcall('PUBLISH', channel, version .. ' ' .. key)
end
