-- What wrk sends: wrk -s requests.lua <url> -- METHOD PATH COUNT STEP [TOKEN [BODY]]
-- In PATH and BODY, {n} is a random number from 1 to COUNT, times STEP, {id} the id of the patient of that number, and
-- {q} three letters that many names hold, or few, or none.
local method, path, count, step, token, body

function init(args)
  method, path, count, step, token, body = args[1], args[2], tonumber(args[3]), tonumber(args[4]), args[5], args[6]
  math.randomseed(os.time() + (tonumber(tostring({}):match("0x(%x+)"), 16) or 0) % 100000)
  if token and token ~= "" then wrk.headers["Authorization"] = "Bearer " .. token end
  if body then wrk.headers["Content-Type"] = "application/json" end
end

local letters = { "ann", "son", "ber", "kuh", "zel", "quo", "xan", "wzq" }

local function filled(template)
  local n = math.random(count) * step
  return (template:gsub("{(%l+)}", { n = n, id = string.format("01900000-0000-7000-8000-%012x", n), q = letters[math.random(#letters)] }))
end

function request()
  return wrk.format(method, filled(path), nil, body and filled(body))
end

function done(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("result %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status, failed))
end
