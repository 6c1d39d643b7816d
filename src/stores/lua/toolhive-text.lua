-- Shared by the scripts that write rows of ToolHive's: put after toolhive-json.lua. A row is changed as text, since
-- decoding and encoding it would lose what cjson cannot tell: empty lists, whole numbers of many digits.

-- The object with these members, given as JSON, in place of its own of that name. All else stays byte for byte.
local function withMembers(json, values)
  local parts, from, rest = {}, 1, {}
  for name, value in pairs(values) do rest[name] = value end
  local at = json:find('["}]', json:find('{', 1, true) + 1)
  local isEmpty = json:sub(at, at) == '}'
  while json:sub(at, at) == '"' do
    local nameEnd = valueEnd(json, at)
    local name = cjson.decode('[' .. json:sub(at, nameEnd) .. ']')[1]
    local valueAt = json:find('[^%s:]', nameEnd + 1)
    local last = valueEnd(json, valueAt)
    if values[name] then
      parts[#parts + 1] = json:sub(from, valueAt - 1) .. values[name]
      from, rest[name] = last + 1, nil
    end
    at = json:find('["}]', last + 1)
  end
  parts[#parts + 1] = json:sub(from, at - 1)
  for name, value in pairs(rest) do
    parts[#parts + 1] = (isEmpty and '' or ',') .. cjson.encode(name) .. ':' .. value
    isEmpty = false
  end
  return table.concat(parts) .. json:sub(at)
end
