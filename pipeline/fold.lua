-- Apply one batch of one partition of `sentiment`, all or nothing.
--
-- KEYS[1] position hash, KEYS[2] change stream, KEYS[3] set of tracks, KEYS[4..] the rest.
-- ARGV[1] the offset that the caller believes is stored ("" for none).
-- ARGV[2] the plan, MessagePack: {
--   position = {field, value, ...}, tracks = {name, ...}, changes = {text, ...},
--   counters = {{key index, seconds to live or 0, field, delta, ...}, ...},
--   seen     = {{key index, seconds to live, id, ...}, ...},
--   shown    = text that the names of exemplars begin with; an id follows,
--   posts    = {id = exemplar, ...}, life = seconds that they live,
--   suspects = {{key index of a set of deleted ids, id, ...}, ...},
--   bounded  = {{key index, seconds to live, members kept, score, id, ...}, ...} }
--
-- Returns {1, new offset} where applied, {0, stored offset or ""} where the position is another:
-- the caller is a zombie, repeats itself, or the store came back with an older snapshot.

local stored = redis.call('HGET', KEYS[1], 'offset') or ''
if stored ~= ARGV[1] then
  return {0, stored}
end

local plan = cmsgpack.unpack(ARGV[2])

for _, row in ipairs(plan.counters) do
  local key = KEYS[row[1]]
  for i = 3, #row, 2 do
    redis.call('HINCRBY', key, row[i], row[i + 1])
  end
  if row[2] > 0 then redis.call('EXPIRE', key, row[2]) end
end

for _, row in ipairs(plan.seen) do
  local key = KEYS[row[1]]
  for i = 3, #row do
    redis.call('SADD', key, row[i])
  end
  redis.call('EXPIRE', key, row[2])
end

local gone = {}
for _, row in ipairs(plan.suspects) do
  local found = redis.call('SMISMEMBER', KEYS[row[1]], unpack(row, 2))
  for i, member in ipairs(found) do
    if member == 1 then gone[row[i + 1]] = true end
  end
end

-- By how many more sorted sets each exemplar is held. It is written, or goes, after all of them.
local held = {}
for _, row in ipairs(plan.bounded) do
  for i = 4, #row, 2 do
    local id = row[i + 1]
    if not gone[id] and redis.call('ZADD', KEYS[row[1]], row[i], id) == 1 then
      held[id] = (held[id] or 0) + 1
    end
  end
  redis.call('EXPIRE', KEYS[row[1]], row[2])
end
for _, row in ipairs(plan.bounded) do
  local over = redis.call('ZCARD', KEYS[row[1]]) - row[3]
  if over > 0 then
    local out = redis.call('ZPOPMIN', KEYS[row[1]], over)
    for i = 1, #out, 2 do
      held[out[i]] = (held[out[i]] or 0) - 1
    end
  end
end
for id, more in pairs(held) do
  local key = plan.shown .. id
  if more > 0 then
    redis.call('HSET', key, 'j', plan.posts[id])
    redis.call('HINCRBY', key, 'n', more)
    redis.call('EXPIRE', key, plan.life)
  elseif more < 0 and redis.call('HINCRBY', key, 'n', more) <= 0 then
    redis.call('DEL', key)
  end
end

for _, name in ipairs(plan.tracks) do
  redis.call('SADD', KEYS[3], name)
end
for _, text in ipairs(plan.changes) do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'c', text)
end
redis.call('HSET', KEYS[1], unpack(plan.position))
return {1, redis.call('HGET', KEYS[1], 'offset')}
