-- A small table of names with values that expire, which every gateway follows by asking what has changed:
-- shared_table.h says what goes in and out.
--
--   KEYS[1]  hash: name -> value, with "-" before it where it may make room, else "="
--   KEYS[2]  sorted set: name by when it ends, milliseconds of the server's clock
--   KEYS[3]  sorted set: name by the version of its last change
--   KEYS[4]  string: "BIRTH VERSION"
--
-- A name that was removed before its end stays in KEYS[2] and KEYS[3] until then, so that whoever asks later hears of it;
-- after its end it says nothing new to anybody.

local values, ends, changes, version_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)

local birth, version = 0, 0
local known = redis.call('GET', version_key)
if known then
  birth, version = known:match('^(%d+) (%d+)$')
  birth, version = tonumber(birth), tonumber(version)
  if not birth then return redis.error_reply('BADVALUE the value of ' .. version_key .. ' is no version') end
end

-- Versions follow the clock, so that a server which lost the latest of them (a fail-over) does not give them again.
local function change(name)
  if birth == 0 then birth = micros end
  version = math.max(version + 1, micros)
  redis.call('ZADD', changes, string.format('%d', version), name)
  redis.call('SET', version_key, string.format('%d %d', birth, version))
end

local function forget(names)
  for i = 1, #names do
    redis.call('HDEL', values, names[i])
    redis.call('ZREM', ends, names[i])
    redis.call('ZREM', changes, names[i])
  end
end

-- A few at a time: no call takes long.
local function expire() forget(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)) end

-- Makes room by the entry that may go and ends soonest, among the first few.
local function make_room()
  local first = redis.call('ZRANGE', ends, 0, 31)
  for i = 1, #first do
    local value = redis.call('HGET', values, first[i])
    if not value or value:sub(1, 1) == '-' then
      forget({first[i]})
      return true
    end
  end
  return false
end

local operations = {}

-- ARGV: name, "-" or "=" and the value, milliseconds, most entries. Returns 1, or 0: not entered.
function operations.put()
  local name, value, millis, most = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
  expire()
  local until_now = tonumber(redis.call('ZSCORE', ends, name) or 0)
  local old = until_now > now and redis.call('HGET', values, name)
  -- What may make room changes nothing that is there: a block by rule neither grows nor shortens an operator's.
  if old and value:sub(1, 1) == '-' then return 0 end
  if until_now == 0 and redis.call('ZCARD', ends) >= most and not make_room() then return 0 end
  redis.call('HSET', values, name, value)
  redis.call('ZADD', ends, string.format('%d', now + millis), name)
  change(name)
  return 1
end

-- ARGV: name. Returns 1, or 0: it was not there.
function operations.remove()
  expire()
  local ending = tonumber(redis.call('ZSCORE', ends, ARGV[2]) or 0)
  if redis.call('HDEL', values, ARGV[2]) == 0 or ending <= now then return 0 end
  change(ARGV[2])
  return 1
end

-- ARGV: birth and version that the caller knows (0: nothing), most entries of an answer. Returns {birth, version, 1 when the
-- caller has to forget what it knew, 1 when there is more, then name, milliseconds left (0: removed), value of each}.
function operations.changes()
  local known_birth, known_version, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
  local anew = known_birth == 0 or known_birth ~= birth or known_version > version
  if anew then known_version = 0 end
  local reply = {string.format('%d', birth), string.format('%d', version), anew and 1 or 0, 0}
  local found = redis.call('ZRANGEBYSCORE', changes, string.format('(%d', known_version), '+inf', 'WITHSCORES',
                           'LIMIT', 0, most + 1)
  if #found > 2 * most then
    reply[2], reply[4] = string.format('%d', found[2 * most]), 1
  end
  for i = 1, math.min(#found, 2 * most), 2 do
    local name = found[i]
    local left = tonumber(redis.call('ZSCORE', ends, name) or 0) - now
    local value = left > 0 and redis.call('HGET', values, name)
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = name, value and left or 0, value or ''
  end
  return reply
end

return operations[ARGV[1]]()
