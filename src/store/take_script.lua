-- Decides one event on all of its buckets that lie in one slot, in one atomic step: the twin of src/limit/algorithm.h,
-- whose formulas stand there and in fixed_window.h, sliding_window.h and gcra.h; take_script.h says what goes in and out.
-- tests/store compares both, decision by decision: who changes one changes the other.
--
--   KEYS[i]    a bucket          ARGV[1]    take | peek | refuse | give
--   ARGV[2]    "": the time is the server's, and buckets expire; else nanoseconds, and they don't (tests)
--   ARGV[3]    give: when it was taken, nanoseconds
--   ARGV[3+i]  the rule of KEYS[i]: ALGORITHM COUNT PERIOD_SECONDS BURST COUNT_DENIED COST
--
-- A bucket is text: "ALGORITHM PERIOD_SECONDS SECONDS NANOSECONDS CURRENT PREVIOUS" (BucketState). Whatever else lies
-- under a key is an error, before anything is written: BADVALUE, or Redis's own WRONGTYPE.

-- Naturals of any size. Lua's numbers are doubles, exact to 2^53; the product of a count and a period needs 2^85. A natural
-- is a number below 2^53, else a table of six limbs of 22 bits, the least first: limb * 2^30 stays exact.
-- Multipliers and divisors are plain numbers below 2^30.
local kExact, kLimb, kGiga = 9007199254740992, 4194304, 1000000000
local type, format, min, max = type, string.format, math.min, math.max

local function limbs(a)
  if type(a) == 'table' then return a end
  local w = {}
  for i = 1, 6 do
    local low = a % kLimb
    w[i], a = low, (a - low) / kLimb
  end
  return w
end

local function natural(w)
  if w[6] == 0 and w[5] == 0 and w[4] == 0 and w[3] < 512 then return (w[3] * kLimb + w[2]) * kLimb + w[1] end
  return w
end

local function add(a, b)
  if type(a) == 'number' and type(b) == 'number' then
    local sum = a + b
    if sum < kExact then return sum end
  end
  a, b = limbs(a), limbs(b)
  local w, carry = {}, 0
  for i = 1, 6 do
    local sum = a[i] + b[i] + carry
    carry = sum >= kLimb and 1 or 0
    w[i] = sum - carry * kLimb
  end
  return natural(w)
end

-- a >= b
local function sub(a, b)
  if type(a) == 'number' then return a - b end
  b = limbs(b)
  local w, borrow = {}, 0
  for i = 1, 6 do
    local rest = a[i] - b[i] - borrow
    borrow = rest < 0 and 1 or 0
    w[i] = rest + borrow * kLimb
  end
  return natural(w)
end

local function mul(a, n)
  if type(a) == 'number' then
    local product = a * n
    if product < kExact then return product end
  end
  a = limbs(a)
  local w, carry = {}, 0
  for i = 1, 6 do
    local product = a[i] * n + carry
    local low = product % kLimb
    w[i], carry = low, (product - low) / kLimb
  end
  return natural(w)
end

-- quotient, remainder
local function div(a, n)
  if type(a) == 'number' then
    local rest = a % n
    return (a - rest) / n, rest
  end
  local w, rest = {}, 0
  for i = 6, 1, -1 do
    local part = rest * kLimb + a[i]
    rest = part % n
    w[i] = (part - rest) / n
  end
  return natural(w), rest
end

local function div_up(a, n)
  local quotient, rest = div(a, n)
  if rest > 0 then return add(quotient, 1) end
  return quotient
end

local function less(a, b)
  if type(a) == 'number' then return type(b) == 'table' or a < b end
  if type(b) == 'number' then return false end
  for i = 6, 1, -1 do
    if a[i] ~= b[i] then return a[i] < b[i] end
  end
  return false
end

-- As the decision's 64 bits hold it.
local function text_of(nanos)
  if type(nanos) == 'number' then return format('%d', nanos) end
  local sec, nano = div(nanos, kGiga)
  if type(sec) == 'table' or sec > 9223372036 or (sec == 9223372036 and nano > 854775807) then
    return '9223372036854775807'
  end
  return format('%d%09d', sec, nano)
end

-- Times are pairs of seconds and nanoseconds.
local now_sec, now_nano
if ARGV[2] == '' then
  local time = redis.call('TIME')
  now_sec, now_nano = tonumber(time[1]), tonumber(time[2]) * 1000
else
  now_sec, now_nano = tonumber(ARGV[2]:sub(1, -10)), tonumber(ARGV[2]:sub(-9))
end

local function later(sec, nano, than_sec, than_nano)
  return sec > than_sec or (sec == than_sec and nano > than_nano)
end
local function in_future(b) return later(b.sec, b.nano, now_sec, now_nano) end

-- Nanoseconds from the earlier to the later time.
local function between(sec, nano, later_sec, later_nano)
  local secs, nanos = later_sec - sec, later_nano - nano
  local sum = secs * kGiga + nanos
  if sum < kExact then return sum end
  if nanos < 0 then secs, nanos = secs - 1, nanos + kGiga end
  return add(mul(secs, kGiga), nanos)
end
local function set_now(b) b.sec, b.nano, b.passed = now_sec, now_nano, 0 end

-- An algorithm is a table of functions, as FixedWindow, SlidingWindow and Gcra are in C++. `b` is the bucket: its state
-- (sec, nano, current, previous), its rule (count, burst, period in seconds, nanos: the period in nanoseconds), and what
-- settling found: how much of its window has passed, or GCRA's backlog and the most that it may be (depth).
local kinds = {}

local function fixed()
  local function remaining(b) return max(b.count - b.current, 0) end
  return {
    capacity = function(b) return b.count end,
    settle = function(b)
      if not in_future(b) then
        b.passed = between(b.sec, b.nano, now_sec, now_nano)
        if b.current > 0 and less(b.passed, b.nanos) then return end
        b.current = 0
      end
      set_now(b)
    end,
    remaining = remaining,
    wait = function(b, cost) return cost <= remaining(b) and 0 or sub(b.nanos, b.passed) end,
    reset = function(b) return b.current == 0 and 0 or sub(b.nanos, b.passed) end,
    add = function(b, cost) b.current = b.current + min(cost, remaining(b)) end,
    used = function(b)
      return (in_future(b) or less(between(b.sec, b.nano, now_sec, now_nano), b.nanos)) and b.current or 0
    end,
    give = function(b, cost, sec, nano)
      if not later(b.sec, b.nano, sec, nano) then b.current = max(b.current - cost, 0) end
    end,
  }
end

local function sliding()
  local function settle(b)
    if in_future(b) then
      if less(b.nanos, between(now_sec, now_nano, b.sec, b.nano)) then
        b.previous, b.current = min(b.previous + b.current, b.count), 0
      end
      set_now(b)
    else
      local passed = between(b.sec, b.nano, now_sec, now_nano)
      if not less(passed, b.nanos) then
        passed = sub(passed, b.nanos)
        if less(passed, b.nanos) then
          b.previous, b.current, b.sec = b.current, 0, b.sec + b.period
        else
          b.previous, b.current = 0, 0
        end
      end
      b.passed = passed
    end
    if b.previous == 0 and b.current == 0 then set_now(b) end
  end
  local function used(b)
    if b.previous == 0 then return b.current end
    return b.current + div_up(div_up(mul(sub(b.nanos, b.passed), b.previous), kGiga), b.period)
  end
  return {
    capacity = function(b) return b.count end,
    settle = settle,
    remaining = function(b) return max(b.count - used(b), 0) end,
    wait = function(b, cost)
      local rest = sub(b.nanos, b.passed)
      if b.current + cost <= b.count then
        if b.previous == 0 then return 0 end
        local tolerated = div(mul(b.nanos, b.count - b.current - cost), b.previous)
        return less(tolerated, rest) and sub(rest, tolerated) or 0
      end
      return sub(add(rest, b.nanos), (div(mul(b.nanos, b.count - cost), b.current)))
    end,
    reset = function(b)
      if b.current > 0 then return add(sub(b.nanos, b.passed), b.nanos) end
      return b.previous > 0 and sub(b.nanos, b.passed) or 0
    end,
    add = function(b, cost)
      if b.current < b.count then b.current = b.current + min(cost, b.count - b.current) end
    end,
    used = function(b)
      settle(b)
      return used(b)
    end,
    give = function(b, cost, sec, nano)
      if not later(b.sec, b.nano, sec, nano) then
        b.current = max(b.current - cost, 0)
      elseif not later(b.sec - b.period, b.nano, sec, nano) then
        b.previous = max(b.previous - cost, 0)
      end
    end,
  }
end

local function gcra()
  local function backlog_of(b)
    if later(now_sec, now_nano, b.sec, b.nano) then return 0 end
    return add(mul(between(now_sec, now_nano, b.sec, b.nano), b.previous), b.current)
  end
  local function store(b, backlog)
    local whole, fraction = div(backlog, b.count)
    local sec, nano = div(whole, kGiga)
    if type(sec) == 'table' then sec = kExact / 2 end
    sec, nano = sec + now_sec, nano + now_nano
    if nano >= kGiga then sec, nano = sec + 1, nano - kGiga end
    b.current, b.previous, b.backlog = fraction, b.count, backlog
    if later(sec, nano, 9223372036, 854775807) then
      b.sec, b.nano = 9223372036, 854775807
      b.backlog = backlog_of(b)
    else
      b.sec, b.nano = sec, nano
    end
  end
  local function store_bounded(b, backlog) store(b, less(b.depth, backlog) and b.depth or backlog) end
  return {
    capacity = function(b) return b.burst end,
    settle = function(b)
      b.depth, b.backlog = mul(b.nanos, b.burst), backlog_of(b)
      if b.backlog == 0 or b.previous ~= b.count or less(b.depth, b.backlog) then store_bounded(b, b.backlog) end
    end,
    remaining = function(b) return (div(div(sub(b.depth, b.backlog), kGiga), b.period)) end,
    wait = function(b, cost)
      local wanted = add(b.backlog, mul(b.nanos, cost))
      return less(b.depth, wanted) and div_up(sub(wanted, b.depth), b.count) or 0
    end,
    reset = function(b) return div_up(b.backlog, b.count) end,
    add = function(b, cost) store_bounded(b, add(b.backlog, mul(b.nanos, min(cost, b.burst)))) end,
    used = function(b)
      local events = div_up(div_up(backlog_of(b), kGiga), b.period)
      return less(events, kGiga) and events or kGiga
    end,
    -- What has drained since may have been this event's: it is not given twice.
    give = function(b, cost, sec, nano)
      local taken, drained = mul(b.nanos, cost), 0
      if later(now_sec, now_nano, sec, nano) then drained = mul(between(sec, nano, now_sec, now_nano), b.count) end
      if less(drained, taken) then
        local back = sub(taken, drained)
        store(b, less(back, b.backlog) and sub(b.backlog, back) or 0)
      end
    end,
  }
end

local makers = {f = fixed, s = sliding, g = gcra}
local function kind_of(algorithm)
  if not kinds[algorithm] then kinds[algorithm] = makers[algorithm]() end
  return kinds[algorithm]
end

-- The bucket under `key`, made one that the rule wrote, at this time; nil when what lies there is none.
local function settled(key, rule)
  local b = {key = key}
  local algorithm, count, period, burst, denied, cost = rule:match('^([fsg]) (%d+) (%d+) (%d+) ([01]) (%d+)$')
  b.count, b.period, b.burst, b.cost = tonumber(count), tonumber(period), tonumber(burst), tonumber(cost)
  b.count_denied, b.algorithm, b.kind = denied == '1', algorithm, kind_of(algorithm)
  b.nanos = mul(b.period, kGiga)
  b.sec, b.nano, b.current, b.previous = now_sec, now_nano, 0, 0

  b.old = redis.call('GET', key)
  local kept = 0
  if b.old then
    local wrote, secs, sec, nano, current, previous = b.old:match('^([fsg]) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    if not wrote then return nil end
    secs, sec, nano, current, previous =
      tonumber(secs), tonumber(sec), tonumber(nano), tonumber(current), tonumber(previous)
    if secs < 1 or secs > 31622400 or sec > 9223372036 or nano >= kGiga or current > kGiga or previous > kGiga then
      return nil
    end
    b.same = wrote == algorithm and secs == b.period
    if b.same then
      b.sec, b.nano, b.current, b.previous = sec, nano, current, previous
    else
      kept = kind_of(wrote).used({sec = sec, nano = nano, current = current, previous = previous, count = kGiga,
                                  period = secs, nanos = mul(secs, kGiga)})
    end
  end
  b.kind.settle(b)
  if kept > 0 then b.kind.add(b, kept) end
  b.remaining = b.kind.remaining(b)
  b.allowed = b.cost <= b.remaining
  return b
end

local operation = ARGV[1]
local buckets, all = {}, true
for i = 1, #KEYS do
  local b = settled(KEYS[i], ARGV[3 + i])
  if not b then return redis.error_reply('BADVALUE the value of ' .. KEYS[i] .. ' is no bucket') end
  buckets[i], all = b, all and b.allowed
end

-- A bucket that is full is forgotten; one that is as it was, is not written again.
local function keep(b, reset)
  if reset == 0 then
    if b.old then redis.call('DEL', b.key) end
    return
  end
  local state = format('%s %d %d %d %d %d', b.algorithm, b.period, b.sec, b.nano, b.current, b.previous)
  if state == b.old then return end
  if ARGV[2] ~= '' then
    redis.call('SET', b.key, state)
    return
  end
  -- One more, for expiry counts from the begin of a millisecond. 2^43 ms are 278 years.
  local millis = div_up(reset, 1000000)
  if not less(millis, 8796093022208) then millis = 8796093022208 end
  redis.call('SET', b.key, state, 'PX', format('%d', millis + 1))
end

local out = {format('%d%09d', now_sec, now_nano)}
for i = 1, #buckets do
  local b = buckets[i]
  local kind = b.kind
  local most, remaining = kind.capacity(b), b.remaining
  if operation == 'give' then
    if b.same and not b.count_denied then kind.give(b, b.cost, tonumber(ARGV[3]:sub(1, -10)), tonumber(ARGV[3]:sub(-9))) end
    remaining = kind.remaining(b)
    b.allowed = b.cost <= remaining
  elseif operation ~= 'peek' and (b.count_denied or (all and operation == 'take')) then
    kind.add(b, b.cost)
    remaining = b.allowed and remaining - b.cost or kind.remaining(b)
  end
  local reset = kind.reset(b)
  local more = remaining >= most and 0 or kind.wait(b, remaining + 1)
  local retry
  if b.allowed then
    retry = remaining > 0 and 0 or more
  elseif b.cost > most then
    retry = b.nanos
  else
    retry = kind.wait(b, b.cost)
  end
  if operation ~= 'peek' then keep(b, reset) end
  if type(reset) == 'number' and type(retry) == 'number' and type(more) == 'number' then
    out[i + 1] = format('%d %d %d %d %d', b.allowed and 1 or 0, remaining, reset, retry, more)
  else
    out[i + 1] = format('%d %d %s %s %s', b.allowed and 1 or 0, remaining, text_of(reset), text_of(retry), text_of(more))
  end
end
return table.concat(out, ' ')
