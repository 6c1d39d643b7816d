-- Shared by the scripts over ToolHive's rows: put after toolhive-text.lua and toolhive-sync.lua. Replaces
-- write.lua's `write`.

local monthMs = 30 * 24 * 60 * 60 * 1000
local function whole(number) return string.format('%.0f', number) end

-- As ToolHive keeps it: a month beyond the access token's end, else beyond the session's, else for ever.
local function setRow(json, expiresAt, now)
  local sessionEnd = type(members.session_expires_at) == 'number' and members.session_expires_at or 0
  local last = expiresAt > 0 and expiresAt or sessionEnd
  if last <= 0 then return redis.call('SET', rowKey, json) end
  redis.call('SET', rowKey, json, 'PX', whole(math.max(last * 1000 - now + monthMs, 1000)))
end

-- As `write` in write.lua; the grant and the access token as the codec of toolhive-codec.ts makes them. ToolHive takes
-- whole seconds only, and 0 for a token without end: a row without access token gets the present for its end.
local function write(key, channel, newVersion, grant, access, accessMs, _, _, keepsRejections)
  local now, new = clock(), cjson.decode(grant)
  local accessUntil = access == '' and now or (accessMs ~= '' and now + tonumber(accessMs))
  local expiresAt = accessUntil and math.floor(accessUntil / 1000) or 0
  local values, life = new.row, false
  values.access_token = '""'
  if access ~= '' then life, values.access_token = unpack(cjson.decode(access)) end
  values.expires_at = whole(expiresAt)
  if userOf(members) ~= new.user then values.id_token, values.upstream_subject = '""', '""' end
  local json = withMembers(members.access_token and text or new.blank, values)
  clear(key, keepsRejections)
  setRow(json, expiresAt, now)
  redis.call('HSET', key, 'v', newVersion, 'state', 'active', 'sum', redis.sha1hex(json), 'grant', new.own,
    'token', redis.sha1hex(new.refreshToken))
  if life then redis.call('HSET', key, 'access', life) end
  if life and accessUntil then redis.call('HSET', key, 'accessUntil', whole(accessUntil)) end
  local hist = history()
  if hist ~= '' then redis.call('HSET', key, 'hist', hist) end
  liveAsRow(key)
  redis.pcall('PUBLISH', channel, newVersion .. ' ' .. key)
end
