-- Enter exemplars with what they go with, and tell which of that is deleted.
--
-- KEYS[1] a key of the partition; all others have its hash tag.
-- ARGV[1] MessagePack: { life = seconds that an entry lives,
--   rows = {{name of the set of dependents, member, {names of sets of deleted members},
--            {dependent, ...}}, ...} }
--
-- Returns the members that are deleted.

local plan = cmsgpack.unpack(ARGV[1])
local gone = {}
for _, row in ipairs(plan.rows) do
  for i = 1, #row[4] do
    redis.call('SADD', row[1], row[4][i])
  end
  redis.call('EXPIRE', row[1], plan.life)
  for _, name in ipairs(row[3]) do
    if redis.call('SISMEMBER', name, row[2]) == 1 then
      gone[#gone + 1] = row[2]
      break
    end
  end
end
return gone
