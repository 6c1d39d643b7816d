-- Shared by the scripts that write rows of ToolHive's: put before toolhive-text.lua.

-- The last character of the JSON value that begins at a place.
local function valueEnd(json, at)
  local depth = 0
  while true do
    local first = json:sub(at, at)
    if first == '"' then
      repeat
        at = json:find('["\\]', at + 1)
        local isEscape = json:sub(at, at) == '\\'
        if isEscape then at = at + 1 end
      until not isEscape
    elseif first == '{' or first == '[' then depth = depth + 1
    elseif first == '}' or first == ']' then depth = depth - 1
    else at = json:find('[,%]}%s]', at) - 1 end
    if depth == 0 then return at end
    at = json:find('["{}%[%]]', at + 1)
  end
end
