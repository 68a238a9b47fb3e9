-- A script of wrk: POST one body with the tokens of many users in turn; print the figures as JSON.
--   wrk ... --script load.lua URL -- TOKENS_FILE BODY_FILE
local requests, turn = {}, 0

function init(args)
   local file = assert(io.open(args[2]))
   local body = file:read("*a")
   file:close()
   for token in io.lines(args[1]) do
      local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }
      table.insert(requests, wrk.format("POST", nil, headers, body))
   end
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency)
   local errors = summary.errors
   local lost = errors.connect + errors.read + errors.write + errors.timeout
   io.write(string.format(
      '\n{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "lost": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.status, lost))
end
