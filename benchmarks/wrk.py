"""Calls by wrk, of which each answer is compared with what the model itself says."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
# An answer that is not as the one before is compared number by number: batches may differ in the
# last digits of float32.
SCRIPT = """wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [==[{body}]==]
local expected = {{{numbers}}}
local known, bad = nil, 0
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function init() wrong = 0; example = "" end
local function right(body)
  local at = 0
  for text in body:gsub('"[^"]*"', ""):gmatch("[-+.%deE]+") do
    local number = tonumber(text)
    if number then
      at = at + 1
      local wanted = expected[at]
      if not wanted or math.abs(number - wanted) > 1e-5 * math.max(1, math.abs(wanted)) then
        return false
      end
    end
  end
  return at == #expected
end
function response(status, headers, body)
  if status == 200 and body == known then return end
  if status == 200 and right(body) then known = body return end
  wrong = wrong + 1
  example = status .. " " .. body:sub(1, 200)
end
function done(summary, latency, requests)
  local count, shown = 0, ""
  for _, thread in ipairs(threads) do
    count = count + thread:get("wrong")
    if thread:get("example") ~= "" then shown = thread:get("example") end
  end
  print("Wrong: " .. count .. " " .. shown)
end
"""


@dataclass(frozen=True)
class Measured:
    """Requests a second, and the latency of the middle and of the slow ones."""

    rate: float
    p50: float  # ms
    p99: float  # ms


def script(folder: Path, body: str, answer: list[float]) -> Path:
    """What wrk sends, and what must come back."""
    path = folder / f"{abs(hash((body, *answer)))}.lua"
    numbers = ", ".join(map(repr, answer))
    path.write_text(SCRIPT.format(body=body, numbers=numbers))
    return path


def measure(url: str, path: Path, connections: int, seconds: float) -> Measured:
    """Ask for a while. Exits when an answer is not the model's."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency"]
    command += ["--timeout", "30s", "-s", str(path), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wrong = re.search(r"^Wrong: (\d+) ?(.*)$", said, re.M)
    if wrong is None or int(wrong[1]):
        sys.exit(f"{url} answered otherwise than the model:\n{said}")
    return Measured(
        float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        _latency("50", said),
        _latency("99", said),
    )


def _latency(share: str, said: str) -> float:
    found = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s|m)\s*$", said, re.M)
    return float(found[1]) * UNITS[found[2]] if found else float("nan")


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    if found is None:
        sys.exit(f"wrk said no {pattern}:\n{said}")
    return found[1]
