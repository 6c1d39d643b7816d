-- Shared by the scripts over ToolHive's rows: put after row.lua, whose `view` it replaces. ToolHive knows nothing of the
-- hash beside its row. Where the row's text is not the one that the hash belongs to, ToolHive has written since: then
-- the text's digest is the version, and of the hash little more counts than who presents the same refresh token.
-- KEYS[1]  our hash    KEYS[2]  ToolHive's row
local rowKey = KEYS[2]
local text = redis.call('GET', rowKey)
local sum = text and redis.sha1hex(text)
local bringsBack = false
local inStepV, inStepState, inStepSum, inStepToken, rejectedV, heldV = unpack(redis.call('HMGET', KEYS[1],
  'v', 'state', 'sum', 'token', 'rejected', 'rejectedHeld'))

-- The row's members; an empty table where it is a tombstone, or cannot be read: what the store makes of that it says.
local isJson, members = pcall(cjson.decode, text or '')
if not (isJson and type(members) == 'table' and text:find('^%s*{')) then members = {} end
local token = redis.sha1hex(type(members.refresh_token) == 'string' and members.refresh_token or '')

-- Whether the hash belongs to what is there. A tombstone of ours outlives the row's.
local isInStep
if text then isInStep = inStepSum == sum else isInStep = inStepState == 'revoked' end
local version = isInStep and inStepV or sum
local attempts = { lease = true, leaseUntil = true, answerUntil = true, attempt = true, attempts = true, attemptAt = true }

-- Whether a field of the hash still counts.
local function counts(field)
  return isInStep or (inStepToken == token and attempts[field])
    or (inStepV and (rejectedV == inStepV or heldV == inStepV) and field:sub(1, 8) == 'rejected')
end

-- What of the hash still counts: HMGET of that.
local function fields(key, ...)
  local values = redis.call('HMGET', key, ...)
  for at, field in ipairs({ ... }) do
    if not counts(field) then values[at] = false end
  end
  return unpack(values)
end
