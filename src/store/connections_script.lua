-- How many connections a subject has open, over all gateways, as leases: connections_script.h says what goes in and out.
--
--   KEYS[1]  a hash: a field for each holder (a worker of a gateway), "COUNT EXPIRES", milliseconds of the server's clock
--   ARGV     acquire | renew | release, holder, lease in milliseconds, and for acquire the most that all may hold, for renew
--            how many this holder has
--
-- Returns {1 or 0: acquired (of the others always 1), how many all hold now}.

local operation, holder, lease, number = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- All leases are read before anything is written.
local total, own, latest, gone, moved = 0, 0, 0, {}, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local count, expires = fields[i + 1]:match('^(%d+) (%d+)$')
  count, expires = tonumber(count), tonumber(expires)
  if not count or count < 1 or count > 1000000000 then
    return redis.error_reply('BADVALUE the value of ' .. KEYS[1] .. ' is no lease')
  end
  -- A clock that stepped back makes no lease longer than a lease.
  if expires > now + lease then
    expires = now + lease
    moved[fields[i]] = count
  end
  if expires <= now then
    gone[#gone + 1] = fields[i]
  else
    total = total + count
    latest = math.max(latest, expires)
    if fields[i] == holder then own = count end
  end
end

local before, acquired = own, 1
if operation == 'acquire' then
  if total < number then own = own + 1 else acquired = 0 end
elseif operation == 'renew' then
  own = number
elseif own > 0 then
  own = own - 1
end
total = total + own - before

for i = 1, #gone do redis.call('HDEL', KEYS[1], gone[i]) end
for other, count in pairs(moved) do
  redis.call('HSET', KEYS[1], other, string.format('%d %d', count, now + lease))
end
if own == 0 then
  if before > 0 then redis.call('HDEL', KEYS[1], holder) end
elseif acquired == 1 then
  redis.call('HSET', KEYS[1], holder, string.format('%d %d', own, now + lease))
  latest = math.max(latest, now + lease)
end
if total > 0 then redis.call('PEXPIRE', KEYS[1], latest - now + 1) end
return {acquired, total}
