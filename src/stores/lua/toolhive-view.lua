-- Shared by the scripts over ToolHive's rows: put after toolhive-row.lua.

-- When the access token ends, ms; false where it has no end. The hash knows it better than whole seconds tell. Older
-- versions of ToolHive wrote the year 1 for a token without end.
local yearOne = -62135596800
local function accessEnd(known)
  if known then return tonumber(known) end
  local seconds = members.expires_at
  return type(seconds) == 'number' and seconds ~= 0 and seconds ~= yearOne and seconds * 1000
end

local function userOf(row) return type(row.user_id) == 'string' and row.user_id or '' end

-- Whether a refresh presented the refresh token that ToolHive's row has. Then it replaces that row, as ToolHive's own
-- compare-and-set does: without this a rotated token is lost where ToolHive has written the row anew with the same
-- refresh token, or Redis has lost our hash.
local function comesAfter(grant)
  local new = cjson.decode(grant)
  local presented = inStepV == sum and new.presented
  return presented and presented == members.refresh_token and userOf(members) == new.user
end

-- Whether the tombstone that is there is ToolHive's: one of ours has a version of its own.
local function isEndedByOthers() return text == 'null' and inStepV == sum end

-- As `view` in row.lua; changes nothing. The grant is what we keep of it and, from the next line on, the row itself; so
-- is an access token, with its life. Nothing of ours extends the life of a row, hence "1" for a stated one.
local function view(key, now)
  if not version then return false end
  local state, why, own, access, accessUntil, retryAt, failingSince, rejected = fields(key,
    'state', 'why', 'grant', 'access', 'accessUntil', 'retryAt', 'failingSince', 'rejected')
  if not isInStep then
    state, access = text == 'null' and 'revoked' or 'active', ''
  end
  if state == 'revoked' then return { version, state, '', '', '', '', redis.call('PTTL', key), '1', 0, '', '' } end
  local ends, remaining = accessEnd(accessUntil), ''
  local hasToken = type(members.access_token) == 'string' and members.access_token ~= ''
  if ends then
    remaining = ends - now
    if remaining <= 0 then access, remaining = false, '' end
  end
  local failing = failingSince and tostring(math.max(now - tonumber(failingSince), 0)) or ''
  return { version, state or '', why or '', (own or '') .. '\n' .. text,
    hasToken and access and access .. '\n' .. text or '', tostring(remaining), redis.call('PTTL', rowKey), '1',
    left(retryAt, now), failing, rejected == version and '1' or '' }
end
