-- Which ids were counted before, within the horizon. Reads only.
--
-- KEYS: for each id the sets that may hold it, ARGV[1] of them an id. ARGV[2..] the ids.
-- Returns a text of one digit an id: 1 where it was seen.

local generations = tonumber(ARGV[1])
local answer = {}
for i = 2, #ARGV do
  local found = 0
  for g = 1, generations do
    if redis.call('SISMEMBER', KEYS[(i - 2) * generations + g], ARGV[i]) == 1 then
      found = 1
      break
    end
  end
  answer[i - 1] = found
end
return table.concat(answer)
