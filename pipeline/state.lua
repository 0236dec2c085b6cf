-- Hide posts and authors, or show them again.
--
-- KEYS[1] a key of the partition; all others have its hash tag.
-- ARGV[1] MessagePack: { life = seconds that a state lives,
--   rows = {{name of its state, member, "hide" or "show", epoch ms of the record,
--            {names of sets of deleted members}}, ...} }
--
-- A state is a hash: `s`, what is to be done, and `t`, when it was said. Who was never hidden and is
-- to be shown has none.

local plan = cmsgpack.unpack(ARGV[1])
for _, row in ipairs(plan.rows) do
  local said = redis.call('HGET', row[1], 't')
  if (said or row[3] ~= 'show') and (not said or tonumber(said) <= row[4]) then
    redis.call('HSET', row[1], 's', row[3], 't', string.format('%.0f', row[4]))
    redis.call('EXPIRE', row[1], plan.life)
  end
  if row[3] == 'show' then
    for _, name in ipairs(row[5]) do
      redis.call('SREM', name, row[2])
    end
  end
end
return #plan.rows
