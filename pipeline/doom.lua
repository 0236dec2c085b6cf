-- Mark posts and authors as deleted, forget their exemplars, and tell what goes with them.
--
-- KEYS[1] a key of the partition; all others have its hash tag.
-- ARGV[1] MessagePack: { life = seconds that a mark lives,
--   rows = {{member, name of its set of deleted members, name of its exemplar,
--            name of the set of its dependents}, ...} }
--
-- Returns the dependents of each row.

local plan = cmsgpack.unpack(ARGV[1])
local found = {}
for i, row in ipairs(plan.rows) do
  redis.call('SADD', row[2], row[1])
  redis.call('EXPIRE', row[2], plan.life)
  redis.call('DEL', row[3])
  found[i] = redis.call('SMEMBERS', row[4])
end
return found
